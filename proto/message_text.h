/*
 * Walks the string fields of an unpacked message. protobuf-c takes any bytes for a string; the clients' libraries refuse
 * a whole reply for one string that is not UTF-8, so that one odd label would break every list.
 */
#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False if some string is not UTF-8; *ret_field (may be NULL) then names its field. */
bool message_text_is_valid(const ProtobufCMessage *m, const char **ret_field);
/* utf8_repair()s every string of a message that the caller owns. */
void message_text_repair(ProtobufCMessage *m);

/*
 * The packed message behind `room` bytes for the caller to fill, with its text made UTF-8 if it is not all so (m itself stays
 * as it is); *ret_n is the message's size without the room. The caller frees. NULL when it is larger than max: *ret_n is set.
 */
uint8_t *message_text_pack(const ProtobufCMessage *m, size_t room, size_t max, size_t *ret_n);
