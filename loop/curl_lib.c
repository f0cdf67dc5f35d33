#include "loop/curl_lib.h"

#include <dlfcn.h>

#define LIBRARY "libcurl.so.4"

struct curl_lib curl_lib;

static int find(void *library, const char *name, void *ret_pointer, struct err *err)
{
    void *symbol = dlsym(library, name);

    if (!symbol)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0, "%s has no %s: install libcurl4 7.85 or newer",
                       LIBRARY, name);
    *(void **)ret_pointer = symbol; /* POSIX makes dlsym() give functions as objects */
    return 0;
}

int curl_lib_load(struct err *err)
{
    struct curl_lib lib;

    if (curl_lib.url_set)
        return 0;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL); /* for ever */
    if (!library)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0, "cannot load libcurl (%s): install libcurl4",
                       dlerror());
#define FIND(f)                                                                                                \
    if (find(library, "curl_" #f, &lib.f, err) < 0)                                                            \
        return err_errno(err);
    CURL_LIB_FUNCTIONS(FIND)
#undef FIND
    curl_lib = lib;
    return 0;
}
