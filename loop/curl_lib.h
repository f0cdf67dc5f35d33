/*
 * libcurl, loaded with the first transfer rather than with the daemon: it brings 25 libraries along, which take half of the
 * time of the daemon's start and a third of its memory at rest, and a node that pulls nothing never needs them. Loading takes
 * the loop some 5 ms, once.
 *
 * The functions have their own names, so that who includes this instead of curl/curl.h writes what libcurl's manual says.
 */
#pragma once
#define CURL_DISABLE_TYPECHECK /* a macro of the same name as the function */
#include "core/err.h"
#include <curl/curl.h>

#define CURL_LIB_FUNCTIONS(X)                                                                                  \
    X(easy_cleanup)                                                                                            \
    X(easy_getinfo)                                                                                            \
    X(easy_init)                                                                                               \
    X(easy_pause)                                                                                              \
    X(easy_setopt)                                                                                             \
    X(easy_strerror)                                                                                           \
    X(free)                                                                                                    \
    X(global_init)                                                                                             \
    X(multi_add_handle)                                                                                        \
    X(multi_assign)                                                                                            \
    X(multi_cleanup)                                                                                           \
    X(multi_info_read)                                                                                         \
    X(multi_init)                                                                                              \
    X(multi_remove_handle)                                                                                     \
    X(multi_setopt)                                                                                            \
    X(multi_socket_action)                                                                                     \
    X(slist_append)                                                                                            \
    X(slist_free_all)                                                                                          \
    X(url)                                                                                                     \
    X(url_cleanup)                                                                                             \
    X(url_get)                                                                                                 \
    X(url_set)

/* curl/curl.h makes variadic macros of some, to check their number of arguments. */
#undef curl_easy_getinfo
#undef curl_easy_setopt
#undef curl_multi_setopt

struct curl_lib {
#define CURL_LIB_POINTER(f) __typeof__(curl_##f) *f;
    CURL_LIB_FUNCTIONS(CURL_LIB_POINTER)
#undef CURL_LIB_POINTER
};
extern struct curl_lib curl_lib; /* all NULL until it is loaded */

/* Once; again it does nothing. FAILED_PRECONDITION names the library and what is wrong with it. */
int curl_lib_load(struct err *err) must_check;

#define curl_easy_cleanup        curl_lib.easy_cleanup
#define curl_easy_getinfo        curl_lib.easy_getinfo
#define curl_easy_init           curl_lib.easy_init
#define curl_easy_pause          curl_lib.easy_pause
#define curl_easy_setopt         curl_lib.easy_setopt
#define curl_easy_strerror       curl_lib.easy_strerror
#define curl_free                curl_lib.free
#define curl_global_init         curl_lib.global_init
#define curl_multi_add_handle    curl_lib.multi_add_handle
#define curl_multi_assign        curl_lib.multi_assign
#define curl_multi_cleanup       curl_lib.multi_cleanup
#define curl_multi_info_read     curl_lib.multi_info_read
#define curl_multi_init          curl_lib.multi_init
#define curl_multi_remove_handle curl_lib.multi_remove_handle
#define curl_multi_setopt        curl_lib.multi_setopt
#define curl_multi_socket_action curl_lib.multi_socket_action
#define curl_slist_append        curl_lib.slist_append
#define curl_slist_free_all      curl_lib.slist_free_all
#define curl_url                 curl_lib.url
#define curl_url_cleanup         curl_lib.url_cleanup
#define curl_url_get             curl_lib.url_get
#define curl_url_set             curl_lib.url_set
