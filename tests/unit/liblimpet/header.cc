/* Compiled as C and as C++, and not run: limpet.h needs no other header and no extension. */
#include <limpet.h>
#include <limpet.h>

int uses_everything(struct limpet *limpet)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	const struct limpet_event *event = limpet_next(limpet);
	const struct limpet_stat stat = {"rooms", 1};
	enum limpet_event_type type = event ? event->type : LIMPET_OVER;
	char text[64];
	void *at = &address;
#ifdef __cplusplus
	struct sockaddr *name = static_cast<struct sockaddr *>(at);
#else
	struct sockaddr *name = at;
#endif

	if (type == LIMPET_OVER && limpet_open(&limpet) < 0 && limpet_join(&limpet, "@x", "chat", "0") < 0 &&
	    limpet_open_fd(&limpet, 3) < 0)
		return -1;
	limpet_closed(limpet, 1);
	limpet_limit(limpet, 2);
	limpet_leave(limpet);
	if (limpet_stats(limpet, &stat, 1) < 0 || limpet_pool(limpet, text, sizeof(text)) == 0 ||
	    limpet_slot(limpet, text, sizeof(text)) == 0 || limpet_reason(limpet, text, sizeof(text)) == 0)
		return limpet_fd(limpet) + limpet_timeout(limpet);
	return limpet_accept(limpet, name, &length, LIMPET_DONTWAIT | SOCK_CLOEXEC);
}
