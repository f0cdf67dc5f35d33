/*
 * Protobuf messages as JSON: protobuf's JSON mapping (ProtoJSON), as crictl prints it: lowerCamelCase names, 64-bit numbers as
 * strings, enums by name, maps as objects, bytes as base64, unset messages as null and everything else with its default.
 * One exception: a KeyValue's value (an environment variable) is shown as text.
 */
#pragma once
#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

enum {
    JSON_TIMES = 1, /* createdAt, startedAt, finishedAt as RFC 3339 instead of nanoseconds */
    JSON_INFO = 2,  /* values of a map named info that are JSON documents are put in as such */
};

json_t *json_of_message(const ProtobufCMessage *m, int flags); /* the caller's */
void json_print(const json_t *j);                              /* on stdout, indented */
void json_print_message(const void *message, int flags);
