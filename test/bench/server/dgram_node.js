// SPDX-License-Identifier: BSL-1.0
// Node's dgram: the same program as dgram_thrum.lua.
'use strict';
const dgram = require('dgram');

const server = dgram.createSocket('udp4');
server.on('message', (msg, rinfo) => {
  server.send(msg, rinfo.port, rinfo.address);
});
server.bind(0, '127.0.0.1', () => {
  process.stdout.write(`${server.address().port}\n`);
});
