/* The table of keys: the one place that says which keys a configuration has, of what type, with which default
 * and bounds, and what they are for. The loader, --print-config, the JSON Schema and limpet.json(5) all come
 * from it.
 *
 * A new key is one row here and one field in config.h.
 */
#ifndef LIMPET_CONFIG_KEYS_H
#define LIMPET_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which object a key belongs to, and which struct its offset is in. */
enum key_object {
	KEYS_CONFIG,    /* the whole; struct config */
	KEYS_LOG,       /* "log"; struct config */
	KEYS_LISTENER,  /* each of "listeners"; struct listener_config */
	KEYS_STICKY,    /* each of "sticky" that is an object; struct sticky_source */
	KEYS_STICKY_IP, /* "ip" in it; struct sticky_source */
	KEYS_POOL,      /* each of "pools"; struct pool_config */
	KEYS_LIMITS,    /* "limits" in it; struct pool_config */
	KEYS_OBJECTS,
};

enum key_type {
	KEY_NOTE,        /* a string that limpet ignores */
	KEY_STRING,      /* char *, not empty, at most max bytes */
	KEY_TOKEN,       /* char *, an RFC 9110 token of at most max bytes */
	KEY_DURATION,    /* uint64_t, milliseconds */
	KEY_SIZE,        /* size_t, bytes */
	KEY_INTEGER,     /* unsigned */
	KEY_BOOLEAN,     /* bool */
	KEY_MODE,        /* struct mode, an octal string; no bits but those of max */
	KEY_LIMIT,       /* struct limit, a number or "unlimited" */
	KEY_SIZE_LIMIT,  /* struct limit, a size or "unlimited" */
	KEY_CHOICE,      /* an enum */
	KEY_OBJECT,      /* the keys of ->of, in the same struct */
	KEY_MAP,         /* an object of names, each with the keys of ->of */
	KEY_ADDRESS,     /* struct address */
	KEY_POOL_NAME,   /* struct pool_config * */
	KEY_STICKY_LIST, /* struct sticky_source[] */
	KEY_PREFIXES,    /* struct address_prefix * */
	KEY_COMMAND,     /* char **, a list of strings */
	KEY_ENVIRONMENT, /* char **, an object of strings */
	KEY_WORKERS,     /* size_t: how many limpet starts */
	KEY_SLOTS,       /* struct slot_config *: how many, or their names */
	KEY_WEIGHTS,     /* struct slot_config *: their weights */
};

struct choice {
	const char *name; /* NULL ends a list */
	int value;
};

struct key {
	enum key_object object;
	const char *name;
	enum key_type type;
	size_t offset;
	const char *fallback; /* the default as text, or NULL: none */
	uint64_t min;         /* duration, size, integer, limit: bounds; string, list, map: of the length */
	uint64_t max;
	const struct choice *choices; /* KEY_CHOICE */
	enum key_object of;           /* KEY_OBJECT, KEY_MAP */
	bool required;
	const char *help; /* one sentence, without a full stop */
};

extern const struct key keys[];
extern const size_t keys_count;

/* How the place of an object is written in the manual: "", "log.", "listeners.NAME.", ... */
const char *keys_prefix(enum key_object object);

/* NULL: there is no such key. */
const struct key *keys_find(enum key_object object, const char *name);

/* The name of the value, or the value of the name (false: no such name). */
const char *choice_name(const struct choice *choices, int value);
bool choice_value(const struct choice *choices, const char *name, int *value);

extern const struct choice protocol_choices[];
extern const struct choice flavour_choices[];
extern const struct choice on_down_choices[];

/* Sets the fields of all keys of the object that have a default. */
void keys_set_defaults(enum key_object object, void *base);

#endif
