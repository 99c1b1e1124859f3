/* What the two targets share: a channel whose worker says what the fuzzer makes up, and the promises of
 * channel.h checked.
 *
 * The input is what the worker sends. Byte 1 and the one behind it stand for an act instead:
 *   's' the owner sends a connection   'p' probes   'd' drains   'l' answers the latest listen, 'L' with an
 * error 'n' the latest number that the worker heard, in decimal: an answer needs it 'e' the worker ends
 *   'h' the channel is handed over
 */
#ifndef LIMPET_TESTS_FUZZ_CHANNEL_FUZZ_H
#define LIMPET_TESTS_FUZZ_CHANNEL_FUZZ_H

#include "channel/channel.h"
#include "fuzz.h"

/* Runs one input. datagrams: each line of the input is sent as one, without its '\n'. */
void channel_fuzz(
    enum protocol protocol, enum flavour flavour, bool datagrams, const uint8_t *data, size_t size);

#endif
