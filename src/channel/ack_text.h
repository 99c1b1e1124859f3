/* Acknowledgements of protocol limpet as nearly every JSON library writes them, recognised without a parser. */
#ifndef LIMPET_CHANNEL_ACK_TEXT_H
#define LIMPET_CHANNEL_ACK_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum ack_text {
	ACK_TEXT_OTHER,   /* something else, or written in another way: needs a parser */
	ACK_TEXT_ID,      /* {"type":"ack","id":7} */
	ACK_TEXT_THROUGH, /* {"type":"ack","through":7} */
};

/* One space may stand behind each colon and comma. *number: 0 to 2^31 - 1. */
enum ack_text ack_text_parse(const char *bytes, size_t length, uint32_t *number);

#endif
