/*
 * Included by cppcheck before each file: it reads no system headers, so this tells what they would define and it stumbles
 * over without, and what our own #error lines ask for. A file that it cannot parse is an error, never left out.
 */
#define __x86_64__
#define PROTOBUF_C_VERSION_NUMBER       1004001
#define PROTOBUF_C_MIN_COMPILER_VERSION 1000000
#define H2O_LIBRARY_VERSION_MAJOR       0
#define H2O_LIBRARY_VERSION_MINOR       13
#define H2O_LIBRARY_VERSION_PATCH       5
#define json_array_foreach(array, i, v) for (i = 0; (v = json_array_get(array, i)); i++)
#define json_object_foreach(object, k, v)                                                                      \
    for (k = json_key(object); (v = json_value(object, k)); k = json_next(object, k))
#define HASH_ITER(handle, head, item, tmp) for (item = head, tmp = NULL; item; item = tmp)
