/* The one table of counters: name, help, and what to do when it grows. Status output, logs and the manual use these names.
 *
 * COUNTER(name, help, remedy): remedy is "" where growth is normal.
 */
#define COUNTERS(COUNTER)                                                                                      \
	COUNTER(accepted, "connections accepted", "")                                                          \
	COUNTER(accept_failed, "accept() failed for want of a resource",                                       \
	    "raise the limit of open files, or add memory")                                                    \
	COUNTER(accept_paused, "times that accepting was paused for want of files or memory",                  \
	    "raise the limit of open files, or add memory")                                                    \
	COUNTER(handed_off, "connections sent to a worker", "")                                                \
	COUNTER(acknowledged, "hand-offs that the worker acknowledged", "")                                    \
	COUNTER(unanswered, "hand-offs left to a worker whose channel was given up before it answered",        \
	    "look in the log why the channel was lost")                                                        \
	COUNTER(refused, "hand-offs that the worker refused", "look why workers close servers or run out of files") \
	COUNTER(redispatched, "connections that went to another choice after a refusal or a worker's death", "") \
	COUNTER(held, "connections that waited for a slot to come back", "")                                   \
	COUNTER(queued, "connections that waited behind a busy worker", "add workers, or raise window")        \
	COUNTER(parked, "connections that waited so long that they would outlive a crash of the router", "")   \
	COUNTER(closed_by_client, "connections that the client closed before their request head was complete", "") \
	COUNTER(head_invalid, "400: not HTTP, or a malformed request head", "")                                \
	COUNTER(head_timeout, "408: request head not complete in head_timeout", "")                            \
	COUNTER(head_too_large, "431: request head larger than head_size", "raise head_size, or shrink cookies") \
	COUNTER(head_empty, "closed: no byte came in head_timeout", "")                                        \
	COUNTER(head_tls, "TLS where a key needs the request head: handed off by address",                     \
	    "give this listener only the source ip, or end TLS in front of limpet")                            \
	COUNTER(head_http2, "HTTP/2 where a key needs the request head: handed off by address",                \
	    "give this listener only the source ip")                                                           \
	COUNTER(client_limit, "429: more than max_waiting_per_client waiting from one client prefix", "")      \
	COUNTER(waiting_limit, "503: more than max_waiting connections waiting", "raise max_waiting")          \
	COUNTER(evicted, "closed: the oldest incomplete request head made room for a newer connection", "raise max_waiting") \
	COUNTER(no_worker, "503: no worker could take the connection, or with on_down reject not the client's", \
	    "look why workers are down")                                                                       \
	COUNTER(hold_expired, "503: the slot did not come back and no other could take the connection", "look why workers are down") \
	COUNTER(queue_full, "503: the queue behind a busy worker is full", "add workers, or raise queue")      \
	COUNTER(queue_timeout, "503: waited longer than queue_timeout behind a busy worker", "add workers")    \
	COUNTER(proxy_invalid, "closed: missing or malformed PROXY header",                                    \
	    "let the proxy send the header, or set proxy_protocol to false")                                   \
	COUNTER(proxy_untrusted, "closed: PROXY protocol listener, peer not in trusted_proxies",               \
	    "add the proxy to trusted_proxies")                                                                \
	COUNTER(out_of_memory, "closed: no memory", "add memory, or lower max_waiting")                        \
	COUNTER(shut_down, "closed: limpet is stopping", "")                                                   \
	COUNTER(worker_messages_skipped, "messages from workers that were the application's own or not understood", "") \
	COUNTER(worker_channels_failed, "worker channels that ended though their worker was not to finish", "")      \
	COUNTER(workers_started, "worker processes started", "")                                               \
	COUNTER(workers_exited, "worker processes that ended", "")                                             \
	COUNTER(workers_stuck, "times that a worker acknowledged nothing for stuck_timeout", "look what blocks its event loop") \
	COUNTER(routers_started, "router processes started", "more than one a start, reload or upgrade: it crashed")   \
	COUNTER(control_refused, "requests at the control socket from users who may not use it", "")          \
	COUNTER(external_joined, "external workers that joined a pool", "")                                    \
	COUNTER(external_refused, "processes that asked to join a pool and were refused", "limpet's log says why") \
	COUNTER(external_silent, "connections at a pool's socket that ended before they said a whole hello",   \
	    "look who connects there and says nothing")                                                        \
	COUNTER(wakeups, "times that the router's event loop ran", "")
