/* One source of a sticky key, as configured. A plain type, shared by the loader and by src/route. */
#ifndef LIMPET_CONFIG_STICKY_H
#define LIMPET_CONFIG_STICKY_H

enum sticky_type { STICKY_IP, STICKY_COOKIE, STICKY_HEADER, STICKY_QUERY, STICKY_PATH };

/* Sources in one list, the implied last "ip" included. */
#define STICKY_SOURCES_MAX 8

struct sticky_source {
	enum sticky_type type;
	char *name;         /* cookie, header, query: the name; owned by the config */
	unsigned segment;   /* path: from 1 */
	unsigned v4_prefix; /* ip: 0 to 32 */
	unsigned v6_prefix; /* ip: 0 to 128 */
};

#endif
