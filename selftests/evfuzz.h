/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Programs for a fuzzer: sequences of calls whose arguments have types, so that one
 * can be made, changed, written down and read again without knowing what it does.
 * What the calls are is in evfuzzcalls.h.
 */
#ifndef EVFUZZ_H
#define EVFUZZ_H

#include "evmap.h"

#define FZ_ARGS		20
#define FZ_CALLS	20
#define FZ_FDS		8
#define FZ_MAPS		6
#define FZ_SOCKETS	3
#define FZ_TOPICS	8
#define FZ_GROUPS	10

/* An attribute that is left out. */
#define FZ_ABSENT	0xab5e47ab5e47ab5eULL
/* What a call is whose kernel does not have it. */
#define FZ_MISSING	LONG_MIN

/**
 * enum fz_type - what an argument is
 * @FZ_FD: one of the descriptors that the program has
 * @FZ_SOCKET: one of its netlink sockets
 * @FZ_MAP: one of its mappings
 * @FZ_TOPIC: one of the topics' names
 * @FZ_NODE: ``any``, or a partition
 * @FZ_GROUP: one of the groups' names, and where in memory it is
 * @FZ_OWN_LEN: 0: that of the name or the batch in front
 * @FZ_PARTITION: a number of a partition
 * @FZ_LEN: bytes
 * @FZ_PTR: where data is: an &enum fz_region, and how far in
 * @FZ_ARRAY: the same for an array, an &enum fz_array is the parameter; how far in
 *	says what is in it.  The next argument is the number of its entries
 * @FZ_COUNT: entries
 * @FZ_OFFSET: of a record
 * @FZ_TIME: milliseconds since the epoch
 * @FZ_MS: a timeout
 * @FZ_FLAGS: the parameter is all that are known
 * @FZ_ENUM: less than the parameter
 * @FZ_FIX: to be the parameter, but for what is wrong
 * @FZ_SEED: of random numbers
 * @FZ_RARE: 0, or what is to be wrong
 * @FZ_LETTER: -1, or a descriptor
 * @FZ_MOFFSET: of a mapping
 * @FZ_MLEN: of a mapping
 * @FZ_SEGMENT: size of a segment
 * @FZ_RING: size of a ring
 * @FZ_DIR: one of the directories
 * @FZ_OFLAGS: of open()
 * @FZ_END: there are no more
 */
enum fz_type {
	FZ_FD, FZ_SOCKET, FZ_MAP, FZ_TOPIC, FZ_NODE, FZ_GROUP, FZ_OWN_LEN, FZ_PARTITION, FZ_LEN,
	FZ_PTR, FZ_ARRAY, FZ_COUNT, FZ_OFFSET, FZ_TIME, FZ_MS, FZ_FLAGS, FZ_ENUM, FZ_FIX, FZ_SEED,
	FZ_RARE, FZ_LETTER, FZ_MOFFSET, FZ_MLEN, FZ_SEGMENT, FZ_RING, FZ_DIR, FZ_OFLAGS,
	FZ_END,
};

/**
 * enum fz_region - memory that a call can be given
 * @FZ_GOOD: can be read and written
 * @FZ_FIT: ends where a page ends that no other follows
 * @FZ_HALF: only its first half is there
 * @FZ_READ_ONLY: cannot be written
 * @FZ_NO_ACCESS: is mapped, with no access
 * @FZ_DEVICE: a mapping of the program, of a log if it has one
 * @FZ_FILE: of a shared file that ends in the middle of it
 * @FZ_NULL: near zero
 * @FZ_KERNEL: the kernel's
 * @FZ_WILD: no address at all
 * @FZ_REGIONS: how many there are
 */
enum fz_region {
	FZ_GOOD, FZ_FIT, FZ_HALF, FZ_READ_ONLY, FZ_NO_ACCESS, FZ_DEVICE, FZ_FILE, FZ_NULL,
	FZ_KERNEL, FZ_WILD, FZ_REGIONS,
};

enum fz_array { FZ_RECORDS, FZ_BATCH, FZ_U32S, FZ_COMMITS, FZ_ACKS, FZ_ROOM };

/**
 * struct fz_arg - an argument
 * @type: an &enum fz_type
 * @at: of a structure's member: where it is; of an attribute: its number
 * @size: its bytes; of attributes: 4, 8 (a uint), 0 (a string)
 * @optional: the attribute need not be there
 * @param: by type
 */
struct fz_arg {
	uint8_t type;
	uint8_t at;
	uint8_t size;
	bool optional;
	uint64_t param;
};

/* What must have been done before a call can succeed. */
#define FZ_NEEDS_TOPIC		(1U << 0)
#define FZ_NEEDS_FD		(1U << 1)
#define FZ_NEEDS_RECORDS	(1U << 2)
#define FZ_NEEDS_MEMBER		(1U << 3)
#define FZ_NEEDS_QUEUE		(1U << 4)
#define FZ_NEEDS_ACQUIRED	(1U << 5)
#define FZ_NEEDS_GROUP		(1U << 6)	/* that has no members */
#define FZ_NEEDS_MAP		(1U << 7)
#define FZ_NEEDS_DURABLE	(1U << 8)
#define FZ_NEEDS_DETACHED	(1U << 9)
#define FZ_NEEDS_PARTITION	(1U << 10)	/* a descriptor of one, not of any */
#define FZ_NEEDS_SENT		(1U << 11)	/* a descriptor on its way */
#define FZ_NEEDS_ANSWER		(1U << 12)	/* that nobody has received */
#define FZ_OUTSIDE		(1U << 13)	/* does not enter the module itself */

struct fz_thread;

/**
 * struct fz_kind - a call
 * @name: of it
 * @fn: does it; a negative errno is what fails
 * @nr: for @fn: an ioctl, a command
 * @size: for @fn: of the ioctl's structure; dumps are not 0
 * @needs: FZ_NEEDS_*
 * @args: its arguments, and FZ_END
 */
struct fz_kind {
	const char *name;
	long (*fn)(struct fz_thread *t, const struct fz_kind *k, const uint64_t *arg);
	unsigned int nr;
	unsigned int size;
	unsigned int needs;
	const struct fz_arg *args;
};

static inline unsigned int fz_nr_args(const struct fz_kind *k)
{
	unsigned int i;

	for (i = 0; k->args[i].type != FZ_END; i++)
		;
	return i;
}

struct fz_call {
	uint16_t kind;
	uint64_t arg[FZ_ARGS];
};

/**
 * struct fz_program - calls
 * @nr: how many
 * @alone: so many calls from the first on are done one after the other, ...
 * @second: ... and of the others those whose bit is set by a second thread
 * @call: the calls
 */
struct fz_program {
	uint32_t nr;
	uint32_t alone;
	uint32_t second;
	struct fz_call call[FZ_CALLS];
};

extern const struct fz_kind fz_kinds[];
extern const unsigned int fz_nr_kinds;

/**
 * struct fz_choice - what arguments go together
 * @rnd: random numbers
 * @wild: of 1024 arguments so many are anything
 * @topic: the topic
 * @fd: the descriptor
 * @dir: the directory
 * @group: the group
 */
struct fz_choice {
	uint64_t rnd;
	unsigned int wild;
	unsigned int topic;
	unsigned int fd;
	unsigned int dir;
	unsigned int group;
};

static inline unsigned int fz_below(struct fz_choice *c, unsigned int n)
{
	return evw_random(&c->rnd) % n;
}

static inline uint64_t fz_wide(struct fz_choice *c)
{
	return (uint64_t)evw_random(&c->rnd) << 33 ^ (uint64_t)evw_random(&c->rnd) << 11 ^
	       evw_random(&c->rnd);
}

#define FZ_PICK(c, a)	((a)[fz_below(c, sizeof(a) / sizeof((a)[0]))])

/* Numbers at which something is likely to change. */
static inline uint64_t fz_boundary(struct fz_choice *c)
{
	static const uint64_t at[] = {
		0, 1, 2, 3, 4, 7, 8, 16, 24, 32, 61, 64, 100, 249, 250, 255, 256, 1023, 1024, 1025,
		2000, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 20, (1 << 20) + 1, 16 << 20,
		(16 << 20) + 1, 86400000, 86400001, 0x7fffffff, 0x80000000, 0xffffffff, 1ULL << 32,
		(1ULL << 32) + 1, 1ULL << 40, (1ULL << 62) - 1, 1ULL << 62, 0x7fffffffffffffff,
		0x8000000000000000, 0xfffffffffffff000, -61ULL, -2ULL, -1ULL,
	};

	return FZ_PICK(c, at);
}

static inline uint64_t fz_anything(struct fz_choice *c)
{
	switch (fz_below(c, 4)) {
	case 0:
		return fz_wide(c);
	case 1:
		return fz_below(c, 300);
	default:
		return fz_boundary(c);
	}
}

static inline uint64_t fz_pointer(struct fz_choice *c)
{
	uint64_t region = FZ_GOOD, off = fz_below(c, 8) ? fz_wide(c) : 0;

	if (c->wild && !fz_below(c, 6))
		region = fz_below(c, FZ_REGIONS);
	return region << 56 | off >> 8;
}

static inline uint64_t fz_arg_make(struct fz_choice *c, const struct fz_arg *a)
{
	static const uint32_t lens[] = { 0, 1, 5, 60, 100, 100, 300, 1000, 5000, 20000, 66000 };
	static const uint64_t segments[] = { 65536, 65536, 65536, 131072, 1 << 20 };
	static const uint64_t rings[] = { 131072, 262144, 262144, 1 << 20, 4 << 20 };
	static const uint64_t moffsets[] = {
		0, EVSTREAM_MMAP_LOG, EVSTREAM_MMAP_LOG, EVSTREAM_MMAP_LOG + 65536,
		EVSTREAM_MMAP_LOG + 4096, EVSTREAM_MMAP_LOG - 4096, 4096, 2048,
		EVSTREAM_MMAP_LOG + (1ULL << 40), 1ULL << 62, 0x7ffffffffffff000, 1ULL << 63,
		-4096ULL,
	};
	static const uint64_t oflags[] = {
		0, 0, 0, 0, 0, 0, 0, O_DSYNC, O_APPEND, O_TRUNC, O_DIRECT, O_PATH, O_ASYNC,
		O_NONBLOCK, O_NOATIME, O_DIRECTORY,
	};

	if (fz_below(c, 1024) < c->wild)
		return a->optional && fz_below(c, 2) ? FZ_ABSENT : fz_anything(c);
	if (a->optional && (!c->wild || fz_below(c, 3)))
		return FZ_ABSENT;
	switch (a->type) {
	case FZ_FD:
		return c->wild && !fz_below(c, 4) ? fz_below(c, FZ_FDS) : c->fd;
	case FZ_SOCKET:
		return c->wild ? fz_below(c, FZ_SOCKETS) : 0;
	case FZ_MAP:
		return c->wild ? fz_below(c, FZ_MAPS) : 0;
	case FZ_TOPIC:
		return c->wild && !fz_below(c, 6) ? fz_below(c, FZ_TOPICS) : c->topic;
	case FZ_NODE:
		return c->wild ? fz_below(c, 6) : 0;
	case FZ_GROUP:
		if (c->wild && !fz_below(c, 3))
			return (fz_pointer(c) & 0xffULL << 56) | fz_below(c, FZ_GROUPS);
		return c->group;
	case FZ_PARTITION:
		return c->wild ? fz_below(c, 16) ? fz_below(c, 4) : EVSTREAM_ALL : 0;
	case FZ_LEN:
		return c->wild ? FZ_PICK(c, lens) + fz_below(c, 3) : 100;
	case FZ_PTR:
		return fz_pointer(c);
	case FZ_ARRAY:
		return c->wild ? fz_pointer(c) : (uint64_t)FZ_GOOD << 56;
	case FZ_COUNT:
		return 1 + (c->wild ? fz_below(c, 9) : 0);
	case FZ_OFFSET:
		return c->wild && fz_below(c, 3) ? fz_below(c, 40) : (uint64_t)a->param;
	case FZ_TIME:
		return c->wild && !fz_below(c, 3) ? 1600000000000ULL + fz_below(c, 10000) : 0;
	case FZ_MS:
		return c->wild && !fz_below(c, 3) ? fz_below(c, 30) - 1ULL : a->param;
	case FZ_FLAGS:
		if (!c->wild || fz_below(c, 2))
			return 0;
		return fz_below(c, 2) ? 1ULL << fz_below(c, 6) & a->param : fz_wide(c) & a->param;
	case FZ_ENUM:
		return c->wild ? fz_below(c, a->param) : 0;
	case FZ_FIX:
		return a->param;
	case FZ_SEED:
		return fz_wide(c);
	case FZ_LETTER:
		return c->wild && !fz_below(c, 3) ? fz_below(c, FZ_FDS) : -1ULL;
	case FZ_MOFFSET:
		return c->wild ? FZ_PICK(c, moffsets) : 0;
	case FZ_MLEN:
		return c->wild ? 4096ULL << fz_below(c, 9) : 4096;
	case FZ_SEGMENT:
		return c->wild ? FZ_PICK(c, segments) : 65536;
	case FZ_RING:
		return c->wild ? FZ_PICK(c, rings) : 262144;
	case FZ_DIR:
		if (c->wild && !fz_below(c, 8))
			return fz_below(c, 8);
		return c->dir ?: FZ_ABSENT;
	case FZ_OFLAGS:
		if (!c->wild)
			return O_RDWR | O_NONBLOCK;
		/* Those that block hold up all that comes behind. */
		return (fz_below(c, 4) ? O_RDWR : fz_below(c, 4)) |
		       (O_NONBLOCK ^ FZ_PICK(c, oflags));
	default:
		if (!c->wild || fz_below(c, 40))
			return 0;
		return fz_below(c, 2) ? 1 + fz_below(c, 4) : fz_wide(c);
	}
}

static inline void fz_call_make(struct fz_choice *c, struct fz_call *call, unsigned int kind)
{
	const struct fz_kind *k = &fz_kinds[kind];
	unsigned int i;

	memset(call, 0, sizeof(*call));
	call->kind = kind;
	for (i = 0; k->args[i].type != FZ_END; i++)
		call->arg[i] = fz_arg_make(c, &k->args[i]);
}

static inline unsigned int fz_kind_of(const char *name)
{
	unsigned int i;

	for (i = 0; i < fz_nr_kinds; i++)
		if (!strcmp(fz_kinds[i].name, name))
			break;
	return i;
}

static inline struct fz_call *fz_add(struct fz_choice *c, struct fz_program *p, const char *name)
{
	unsigned int kind = fz_kind_of(name);

	if (kind == fz_nr_kinds || p->nr == FZ_CALLS)
		abort();
	fz_call_make(c, &p->call[p->nr], kind);
	return &p->call[p->nr++];
}

/* The argument that has the type; the first of them. */
static inline uint64_t *fz_arg_of(struct fz_call *call, enum fz_type type)
{
	const struct fz_kind *k = &fz_kinds[call->kind];
	unsigned int i;

	for (i = 0; k->args[i].type != FZ_END; i++)
		if (k->args[i].type == type)
			return &call->arg[i];
	abort();
}

/* All that must be done before; in a topic that is new where @fresh says so. */
static inline void fz_prepare(struct fz_choice *c, struct fz_program *p, unsigned int needs,
			      bool fresh)
{
	unsigned int wild = c->wild, i;

	/* What nothing can come of is of no use. */
	c->wild = fresh ? 0 : wild / 8;
	c->dir = needs & FZ_NEEDS_DURABLE ? 1 + fz_below(c, 2) : 0;
	c->group = needs & (FZ_NEEDS_QUEUE | FZ_NEEDS_ACQUIRED) ? 3 + fz_below(c, 2)
								 : fz_below(c, 2);
	c->fd = 0;
	p->nr = 0;
	p->alone = FZ_CALLS;
	p->second = 0;
	if (fresh)
		fz_add(c, p, "topic_del");
	if (needs & ~FZ_OUTSIDE)
		fz_add(c, p, "topic_new");
	if (needs & ~(FZ_OUTSIDE | FZ_NEEDS_TOPIC | FZ_NEEDS_DURABLE | FZ_NEEDS_DETACHED |
		      FZ_NEEDS_ANSWER))
		*fz_arg_of(fz_add(c, p, "open"), FZ_NODE) =
			!!(needs & (FZ_NEEDS_MAP | FZ_NEEDS_PARTITION));
	if (needs & (FZ_NEEDS_RECORDS | FZ_NEEDS_ACQUIRED | FZ_NEEDS_MAP))
		for (i = 0; i < 3; i++)
			fz_add(c, p, "write");
	if (needs & (FZ_NEEDS_MEMBER | FZ_NEEDS_GROUP))
		fz_add(c, p, "JOIN");
	if (needs & (FZ_NEEDS_QUEUE | FZ_NEEDS_ACQUIRED))
		*fz_arg_of(fz_add(c, p, "JOIN"), FZ_FLAGS) = EVSTREAM_JOIN_QUEUE;
	if (needs & FZ_NEEDS_ACQUIRED)
		fz_add(c, p, "ACQUIRE");
	if (needs & FZ_NEEDS_GROUP)
		fz_add(c, p, "LEAVE");
	if (needs & FZ_NEEDS_MAP)
		fz_add(c, p, "mmap");
	if (needs & FZ_NEEDS_DETACHED)
		fz_add(c, p, "topic_detach");
	if (needs & FZ_NEEDS_SENT)
		fz_add(c, p, "send_fd");
	if (needs & FZ_NEEDS_ANSWER)
		fz_add(c, p, "topic_dump")->arg[1] = 0;
	c->wild = wild;
}

static inline void fz_insert(struct fz_choice *c, struct fz_program *p, unsigned int at)
{
	if (p->nr == FZ_CALLS)
		return;
	memmove(&p->call[at + 1], &p->call[at], (p->nr - at) * sizeof(p->call[0]));
	fz_call_make(c, &p->call[at], fz_below(c, fz_nr_kinds));
	p->nr++;
}

static inline void fz_new(struct fz_choice *c, struct fz_program *p)
{
	unsigned int needs = fz_kinds[fz_below(c, fz_nr_kinds)].needs | FZ_NEEDS_TOPIC, n;

	c->topic = fz_below(c, 5);
	fz_prepare(c, p, needs | (fz_below(c, 4) ? 0 : FZ_NEEDS_DURABLE), false);
	for (n = 1 + fz_below(c, 8); n; n--)
		fz_insert(c, p, p->nr);
}

static inline void fz_arg_change(struct fz_choice *c, struct fz_call *call)
{
	const struct fz_kind *k = &fz_kinds[call->kind];
	unsigned int i = fz_below(c, fz_nr_args(k));

	switch (fz_below(c, 8)) {
	case 0:
		call->arg[i] += fz_below(c, 5) - 2ULL;
		break;
	case 1:
		call->arg[i] ^= 1ULL << fz_below(c, 64);
		break;
	case 2:
		call->arg[i] = fz_anything(c);
		break;
	default:
		call->arg[i] = fz_arg_make(c, &k->args[i]);
	}
}

/* @other: another one, of which a part can be taken. */
static inline void fz_mutate(struct fz_choice *c, struct fz_program *p,
			     const struct fz_program *other)
{
	unsigned int n = 1 + fz_below(c, 4), at, i;

	c->topic = 0;
	c->group = fz_below(c, 5);
	c->fd = 0;
	c->dir = 0;
	for (i = 0; i < p->nr; i++)
		if (!strcmp(fz_kinds[p->call[i].kind].name, "open"))
			c->topic = *fz_arg_of(&p->call[i], FZ_TOPIC);
	while (n--) {
		at = p->nr ? fz_below(c, p->nr) : 0;
		switch (fz_below(c, 10)) {
		case 0: case 1: case 2:
			/* What is before makes what is behind possible. */
			if (p->nr)
				at = at + fz_below(c, p->nr - at + 1);
			fz_insert(c, p, at);
			break;
		case 3:
			if (p->nr > 1) {
				p->nr--;
				memmove(&p->call[at], &p->call[at + 1],
					(p->nr - at) * sizeof(p->call[0]));
			}
			break;
		case 4:
			/* This one's beginning, the other one's end. */
			i = other->nr ? fz_below(c, other->nr) : 0;
			for (; i < other->nr && at < FZ_CALLS; i++)
				p->call[at++] = other->call[i];
			p->nr = at > p->nr ? at : p->nr;
			break;
		case 5:
			if (p->nr && p->nr < FZ_CALLS)
				p->call[p->nr++] = p->call[at];
			break;
		case 6:
			p->alone = fz_below(c, 2) ? FZ_CALLS : at;
			p->second = fz_wide(c);
			break;
		default:
			if (p->nr)
				fz_arg_change(c, &p->call[at]);
		}
	}
}

/* ------------------------------------------------------------------ as text */

/* Bytes, without the zero; @size is enough for FZ_TEXT of them. */
#define FZ_TEXT	(64 + FZ_CALLS * (32 + FZ_ARGS * 17))

static inline size_t fz_print(const struct fz_program *p, char *text)
{
	unsigned int i, j;
	size_t n;

	n = sprintf(text, "program %u %x\n", p->alone, p->second);
	for (i = 0; i < p->nr; i++) {
		const struct fz_kind *k = &fz_kinds[p->call[i].kind];

		n += sprintf(text + n, "%s", k->name);
		for (j = 0; k->args[j].type != FZ_END; j++)
			n += sprintf(text + n, " %llx", (unsigned long long)p->call[i].arg[j]);
		text[n++] = '\n';
	}
	return n;
}

/* The next one; false at the end of the file. Lines that are none are left out. */
static inline bool fz_scan(FILE *f, struct fz_program *p)
{
	char line[64 + FZ_ARGS * 17], name[32];
	unsigned int kind, i;
	bool any = false;
	long at;

	memset(p, 0, sizeof(*p));
	while (at = ftell(f), fgets(line, sizeof(line), f)) {
		char *s = line, *end;

		if (!strncmp(line, "program ", 8)) {
			if (any) {
				fseek(f, at, SEEK_SET);
				return true;
			}
			any = sscanf(line + 8, "%u %x", &p->alone, &p->second) == 2;
			continue;
		}
		if (!any || p->nr == FZ_CALLS || sscanf(line, "%31s", name) != 1)
			continue;
		kind = fz_kind_of(name);
		if (kind == fz_nr_kinds)
			continue;
		p->call[p->nr].kind = kind;
		s += strlen(name);
		for (i = 0; fz_kinds[kind].args[i].type != FZ_END; i++, s = end)
			p->call[p->nr].arg[i] = strtoull(s, &end, 16);
		p->nr++;
	}
	return any;
}

#endif /* EVFUZZ_H */
