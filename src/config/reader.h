/* Inside the config layer: from a document to a struct config. */
#ifndef LIMPET_CONFIG_READER_H
#define LIMPET_CONFIG_READER_H

#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "config/config.h"
#include "config/document.h"
#include "config/keys.h"
#include "config/load.h"
#include "config/problems.h"

/* A text of a file is at most this long. */
#define CONFIG_TEXT_MAX (1024 * 1024)

struct reader {
	struct config *config;
	struct problems *problems;
	uid_t uid; /* who starts limpet: only root may ask for users */
};

/* config.c: an empty configuration with its defaults, and the loader of text (file: the name in messages). */
struct config *config_new(void);
int config_load_text(
    struct config **config, const char *file, const char *text, size_t length, uid_t uid, FILE *problems);

/* options.c: the document that says the same as the options. NULL with problems, or for lack of memory. */
struct document *options_document(const struct config_options *options, struct problems *problems);
void options_refuse_beside_file(const struct config_options *options, struct problems *problems);

/* read.c: reads all keys into ->config, which has its defaults. */
void read_config(struct reader *reader, const struct node *root);

/* The members of one object by the table; base is the struct that the offsets are in. */
void read_object(struct reader *reader, enum key_object object, const struct node *node, void *base);

/* What a node should have been: "must be a duration, not a list". */
void read_wrong_type(struct reader *reader, const struct node *node, const char *expected);

/* values.c: one value of the types that stand for themselves. */
void read_value(struct reader *reader, const struct key *key, const struct node *node, void *base);

/* An integer within the key's bounds into *value, else a problem. */
bool read_integer(struct reader *reader, const struct key *key, const struct node *node, unsigned *value);

/* read_sticky.c: fills the list of sources, the implied last one included. node may be NULL. */
void read_sticky(struct reader *reader, const struct node *node, struct listener_config *listener);

/* read_pool.c */
void read_pool(struct reader *reader, const struct node *node, struct pool_config *pool);

/* read_slots.c: names and number of its slots, and how many are for workers that limpet starts. At least one, unless there is no
 * memory. */
void read_pool_slots(struct reader *reader, const struct node *node, struct pool_config *pool);

/* check.c: what no key alone shows. Runs even if there are problems already; says nothing twice. */
void check_config(struct reader *reader, const struct node *root);

/* check_pool.c: one pool: its command, protocol and users; node is the pool's. Sets the protocol if none is
 * given. */
void check_pool(struct reader *reader, const struct node *node, struct pool_config *pool);
void check_user(struct reader *reader, const struct node *node, const char *user);

/* NULL after saying that there is none; else valid until the next look-up. */
const struct group *check_group_exists(struct reader *reader, const struct node *node, const char *group);

/* A name of a pool or a listener: 1 to 64 letters, digits, '.', '_' and '-'. */
bool name_is_valid(const char *name);

#endif
