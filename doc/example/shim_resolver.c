/* SPDX-License-Identifier: BSL-1.0 */
/* The C API: the addresses of a host.
 *
 *     shim_resolver [host [service]] */
#include <stdio.h>
#include <string.h>

#include <thrum/address.h>
#include <thrum/error.h>
#include <thrum/resolver.h>

/* tag::look_up[] */
static void print_endpoint(const struct addrinfo *found)
{
    struct thrum_endpoint endpoint = {.size = found->ai_addrlen};
    struct thrum_address address;
    uint16_t port;
    char text[THRUM_ENDPOINT_TEXT_SIZE];
    memcpy(&endpoint.sa, found->ai_addr, found->ai_addrlen);
    if (thrum_endpoint_to_address(&endpoint, &address, &port) == 0) {
        thrum_address_format_port(&address, port, text);
        puts(text);
    }
}

static void answered(struct thrum_operation *operation)
{
    char text[128];
    const thrum_resolver *resolver = operation->user;
    if (operation->error)
        puts(thrum_error_message(operation->error, text, sizeof(text)));
    for (const struct addrinfo *found = thrum_resolver_addresses(resolver); found;
         found = found->ai_next)
        print_endpoint(found);
}

static int look_up(thrum_context *context, const char *host, const char *service)
{
    struct thrum_operation operation;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    thrum_resolver *resolver;
    int error = thrum_resolver_new(context, &resolver);
    if (error)
        return error;
    thrum_operation_init(&operation, answered, resolver);
    error = thrum_resolver_look_up(resolver, &operation, host, service, &hints);
    thrum_context_run(context);
    thrum_operation_deinit(&operation);
    thrum_resolver_free(resolver);
    return error;
}
/* end::look_up[] */

int main(int argc, char **argv)
{
    thrum_context *context;
    if (thrum_context_new(&context))
        return 1;
    int error = look_up(context, argc > 1 ? argv[1] : "localhost", argc > 2 ? argv[2] : "80");
    thrum_context_free(context);
    return error != 0;
}
