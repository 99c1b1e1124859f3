/* WebSocket frames for the demo worker, by libwslay's event API. */
#include "worker/demo_websocket.h"

#include <errno.h>
#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

/* Echoes waiting for a client that does not read; past it nothing more is read from that client. */
#define QUEUED_MAX (4 * DEMO_MESSAGE_MAX)
#define QUEUED_COUNT_MAX 256

/* Read in one advance(), so that one flood does not stall the other clients. */
#define TURN_MAX (256 * 1024)

struct demo_websocket {
	wslay_event_context_ptr context;
	int fd;
	demo_websocket_message *message;
	void *owner;
	bool ended; /* the client's end of the stream */
	bool heard;
	bool stopped; /* at TURN_MAX */
	size_t turn;
	char early[4096];
	size_t early_start, early_end;
};

bool demo_websocket_accept(const char *key, char accept[DEMO_ACCEPT_SIZE])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	struct base64_decode_ctx decode;
	struct sha1_ctx sha1;
	uint8_t decoded[BASE64_DECODE_LENGTH(24)], digest[SHA1_DIGEST_SIZE];
	size_t decoded_length = sizeof(decoded);

	if (strlen(key) != 24)
		return false;
	base64_decode_init(&decode);
	if (!base64_decode_update(&decode, &decoded_length, decoded, 24, key) ||
	    !base64_decode_final(&decode) || decoded_length != 16)
		return false;
	sha1_init(&sha1);
	sha1_update(&sha1, 24, (const uint8_t *)key);
	sha1_update(&sha1, sizeof(guid) - 1, (const uint8_t *)guid);
	sha1_digest(&sha1, sizeof(digest), digest);
	base64_encode_raw(accept, sizeof(digest), digest);
	accept[DEMO_ACCEPT_SIZE - 1] = '\0';
	return true;
}

static bool queue_is_full(const struct demo_websocket *websocket)
{
	return wslay_event_get_queued_msg_length(websocket->context) >= QUEUED_MAX ||
	       wslay_event_get_queued_msg_count(websocket->context) >= QUEUED_COUNT_MAX;
}

static ssize_t receive_early(struct demo_websocket *websocket, uint8_t *bytes, size_t size)
{
	size_t have = websocket->early_end - websocket->early_start;
	size_t take = have < size ? have : size;

	memcpy(bytes, websocket->early + websocket->early_start, take);
	websocket->early_start += take;
	return (ssize_t)take;
}

static ssize_t on_receive(
    wslay_event_context_ptr context, uint8_t *bytes, size_t size, int flags, void *user_data)
{
	struct demo_websocket *websocket = user_data;
	ssize_t got;

	(void)flags;
	if (websocket->turn >= TURN_MAX || queue_is_full(websocket)) {
		websocket->stopped = true;
		wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	if (websocket->early_start < websocket->early_end)
		return receive_early(websocket, bytes, size);
	do {
		got = recv(websocket->fd, bytes, size, 0);
	} while (got < 0 && errno == EINTR);
	if (got > 0) {
		websocket->turn += (size_t)got;
		return got;
	}
	if (got < 0 && errno == EAGAIN) {
		wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
	} else {
		websocket->ended = true;
		wslay_event_set_error(context, WSLAY_ERR_CALLBACK_FAILURE);
	}
	return -1;
}

static ssize_t on_send(
    wslay_event_context_ptr context, const uint8_t *bytes, size_t length, int flags, void *user_data)
{
	struct demo_websocket *websocket = user_data;
	ssize_t sent;

	(void)flags;
	do {
		sent = send(websocket->fd, bytes, length, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		wslay_event_set_error(
		    context, errno == EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
	return sent;
}

static void on_message(
    wslay_event_context_ptr context, const struct wslay_event_on_msg_recv_arg *arg, void *user_data)
{
	struct demo_websocket *websocket = user_data;

	(void)context;
	websocket->heard = true;
	if (!wslay_is_ctrl_frame(arg->opcode))
		websocket->message(websocket->owner, (const char *)arg->msg, arg->msg_length,
		    arg->opcode == WSLAY_TEXT_FRAME);
}

struct demo_websocket *demo_websocket_new(
    int fd, const char *early, size_t early_length, demo_websocket_message *message, void *owner)
{
	static const struct wslay_event_callbacks callbacks = {
	    .recv_callback = on_receive,
	    .send_callback = on_send,
	    .on_msg_recv_callback = on_message,
	};
	struct demo_websocket *websocket;

	if (early_length > sizeof(websocket->early))
		return NULL;
	websocket = calloc(1, sizeof(*websocket));
	if (!websocket)
		return NULL;
	websocket->fd = fd;
	websocket->message = message;
	websocket->owner = owner;
	if (early_length)
		memcpy(websocket->early, early, early_length);
	websocket->early_end = early_length;
	if (wslay_event_context_server_init(&websocket->context, &callbacks, websocket)) {
		free(websocket);
		return NULL;
	}
	wslay_event_config_set_max_recv_msg_length(websocket->context, DEMO_MESSAGE_MAX);
	return websocket;
}

void demo_websocket_free(struct demo_websocket *websocket)
{
	if (!websocket)
		return;
	wslay_event_context_free(websocket->context);
	free(websocket);
}

int demo_websocket_advance(struct demo_websocket *websocket)
{
	wslay_event_context_ptr context = websocket->context;

	websocket->turn = 0;
	websocket->stopped = false;
	if (wslay_event_want_read(context) && wslay_event_recv(context))
		return websocket->ended ? -ECONNRESET : -EPROTO;
	if (wslay_event_want_write(context) && wslay_event_send(context))
		return -EPIPE;
	return wslay_event_want_read(context) || wslay_event_want_write(context) ? 0 : -ESHUTDOWN;
}

bool demo_websocket_wants_read(const struct demo_websocket *websocket)
{
	return wslay_event_want_read(websocket->context) && !queue_is_full(websocket);
}

bool demo_websocket_wants_write(const struct demo_websocket *websocket)
{
	return wslay_event_want_write(websocket->context);
}

bool demo_websocket_wants_more(const struct demo_websocket *websocket)
{
	return websocket->stopped && demo_websocket_wants_read(websocket);
}

int demo_websocket_send(struct demo_websocket *websocket, const char *text, size_t length)
{
	struct wslay_event_msg message = {
	    .opcode = WSLAY_TEXT_FRAME, .msg = (const uint8_t *)text, .msg_length = length};

	return wslay_event_queue_msg(websocket->context, &message);
}

int demo_websocket_ping(struct demo_websocket *websocket)
{
	struct wslay_event_msg message = {.opcode = WSLAY_PING};

	return wslay_event_queue_msg(websocket->context, &message);
}

bool demo_websocket_heard(struct demo_websocket *websocket)
{
	bool heard = websocket->heard;

	websocket->heard = false;
	return heard;
}
