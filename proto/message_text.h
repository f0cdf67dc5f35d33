/*
 * Walks the string fields of an unpacked message. protobuf-c takes any bytes for a string; the clients' libraries refuse
 * a whole reply for one string that is not UTF-8, so that one odd label would break every list.
 */
#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* False if some string is not UTF-8; *ret_field (may be NULL) then names its field. */
bool message_text_is_valid(const ProtobufCMessage *m, const char **ret_field);
/* utf8_repair()s every string of a message that the caller owns. */
void message_text_repair(ProtobufCMessage *m);
