/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * libevstream: read evstream partitions through mmap(2), alone or as a member of a
 * consumer group, iterate and build Apache Kafka's RecordBatch v2.
 *
 * Offsets number records, positions are byte addresses in the log, times are
 * milliseconds since the epoch, sizes are bytes.  Functions that can fail return
 * a negative errno unless they say otherwise; none of them prints, exits or
 * touches signals.  An object is used by one thread at a time.
 */
#ifndef EVSTREAM_H
#define EVSTREAM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <linux/evstream.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EVS_API		__attribute__((visibility("default")))

/**
 * struct evs_record - a record
 * @offset: its offset
 * @timestamp: ms
 * @key: the key; NULL: none
 * @value: the value; NULL: null (a tombstone)
 * @key_len: bytes of the key, -1: none
 * @value_len: bytes of the value, -1: null
 * @headers_count: headers
 * @headers_len: bytes at @headers
 * @headers: the headers as encoded, for evs_header_first()
 *
 * The pointers are into the log or the buffer that was read, and not aligned.
 */
struct evs_record {
	int64_t offset;
	int64_t timestamp;
	const void *key;
	const void *value;
	int32_t key_len;
	int32_t value_len;
	uint32_t headers_count;
	uint32_t headers_len;
	const void *headers;
};

/* Attributes of a batch. */
#define EVS_BATCH_CODEC		0x0007U	/* 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd */
#define EVS_BATCH_APPEND_TIME	0x0008U	/* all records have the batch's max_timestamp */
#define EVS_BATCH_TRANSACTIONAL	0x0010U
#define EVS_BATCH_CONTROL	0x0020U	/* a marker, no records for consumers */

/**
 * struct evs_batch - a batch's header
 * @data: the batch as it lies in the log or the buffer
 * @size: bytes of the whole batch
 * @attributes: EVS_BATCH_*
 * @reserved: 0
 * @base_offset: offset of the first record
 * @base_timestamp: ms
 * @max_timestamp: ms
 * @last_delta: offset of the last record, from @base_offset
 * @count: records
 */
struct evs_batch {
	const void *data;
	uint32_t size;
	uint16_t attributes;
	uint16_t reserved;
	int64_t base_offset;
	int64_t base_timestamp;
	int64_t max_timestamp;
	uint32_t last_delta;
	uint32_t count;
};

/**
 * struct evs_header - a record's header
 * @key: the name, not NUL-terminated
 * @value: the value; NULL: null
 * @key_len: bytes of the name
 * @value_len: bytes of the value, -1: null
 */
struct evs_header {
	const void *key;
	const void *value;
	int32_t key_len;
	int32_t value_len;
};

/**
 * struct evs_header_iter - walks a record's headers
 *
 * All members are private.
 */
struct evs_header_iter {
	/* private: */
	const uint8_t *p;
	const uint8_t *end;
	uint32_t left;
};

/**
 * evs_header_first() - start to walk a record's headers
 * @it: the iterator
 * @rec: the record
 */
EVS_API void evs_header_first(struct evs_header_iter *it, const struct evs_record *rec);

/**
 * evs_header_next() - the next header
 * @it: the iterator
 * @header: out
 *
 * Return: 1, 0 after the last one, -EBADMSG where the bytes are not headers.
 */
EVS_API int evs_header_next(struct evs_header_iter *it, struct evs_header *header);

/**
 * evs_header_encode() - encode one header
 * @buf: where to; may be NULL where @room is 0
 * @room: bytes at @buf
 * @header: what
 *
 * Headers encoded one behind the other are what &evs_record.headers and
 * &evstream_record.headers take.
 *
 * Return: the bytes it takes; nothing is written where they are more than @room.
 * 0: a length is out of range.
 */
EVS_API size_t evs_header_encode(void *buf, size_t room, const struct evs_header *header);

/* ------------------------------------------------------------ mmap reader */

/* flags of evs_reader_open() */
#define EVS_READER_LATEST	0x01U	/* start after the last record */

/**
 * struct evs_reader - follows one partition through its mapping
 *
 * Made by evs_reader_open() only.  All members are private: they are here for
 * evs_reader_next() to be inlined.
 */
struct evs_reader {
	/* private: */
	uintptr_t next;			/* address of the next batch */
	uintptr_t limit;		/* end of what the fast path may touch */
	uintptr_t batch;		/* address of the current batch */
	uint64_t delta;			/* address + delta = log position */
	const struct evstream_ctl *ctl;
	uint64_t raw_offset;		/* of the last record, big-endian */
	struct evs_record record;	/* what evs_reader_next_slow() found */
};

/**
 * evs_reader_open() - open a partition for reading through mmap
 * @path: the partition's device, ``/dev/stream/<topic>/<n>``
 * @flags: 0: start with the first record still held; %EVS_READER_LATEST
 *
 * Return: the reader; NULL with errno set: that of open(2), mmap(2) or
 * &EVSTREAM_IOC_SEEK (%ENODEV: not a partition, or its topic was deleted), %ENOMEM,
 * %EINVAL (unknown flag), %EPROTO (a control page of another version).
 */
EVS_API struct evs_reader *evs_reader_open(const char *path, unsigned int flags);

/**
 * evs_reader_open_fd() - as evs_reader_open(), of a file that is open already
 * @fd: a partition's device, open for reading; on success the reader owns it
 * @flags: as evs_reader_open()
 *
 * The reader moves the file's position as it pleases.
 */
EVS_API struct evs_reader *evs_reader_open_fd(int fd, unsigned int flags);

/**
 * evs_reader_close() - close it
 * @r: the reader; NULL is fine
 *
 * The pointers in its records are gone with it.
 */
EVS_API void evs_reader_close(struct evs_reader *r);

/**
 * evs_reader_fd() - the reader's file descriptor
 * @r: the reader
 *
 * For &EVSTREAM_IOC_STAT and for poll(2) after evs_reader_arm().
 */
EVS_API int evs_reader_fd(const struct evs_reader *r);

/**
 * evs_reader_seek() - go to another record
 * @r: the reader
 * @whence: EVSTREAM_SEEK_OFFSET, _EARLIEST, _LATEST or _TIMESTAMP
 * @value: the offset, or the time in ms
 *
 * An offset beyond the end waits there for that record; one before the start is
 * reported as lost (%EPIPE) by the next evs_reader_next().
 *
 * Return: 0, or &EVSTREAM_IOC_SEEK's error: -EINVAL, -ENODEV.
 */
EVS_API int evs_reader_seek(struct evs_reader *r, enum evstream_whence whence,
			    int64_t value);

/**
 * evs_reader_offset() - the offset of the record that comes next
 * @r: the reader
 */
EVS_API int64_t evs_reader_offset(const struct evs_reader *r);

/**
 * evs_reader_position() - log position of the batch that comes next
 * @r: the reader
 */
EVS_API uint64_t evs_reader_position(const struct evs_reader *r);

/**
 * evs_reader_start_offset() - the first record the log still holds, as of now
 * @r: the reader
 */
EVS_API int64_t evs_reader_start_offset(const struct evs_reader *r);

/**
 * evs_reader_end_offset() - one after the last record of the log, as of now
 * @r: the reader
 */
EVS_API int64_t evs_reader_end_offset(const struct evs_reader *r);

/**
 * evs_reader_lost() - what was lost to overruns
 * @r: the reader
 * @from: out: the first offset the last %EPIPE was about; may be NULL
 * @to: out: one after its last offset; may be NULL
 *
 * Return: all offsets lost by this reader so far.
 */
EVS_API uint64_t evs_reader_lost(const struct evs_reader *r, int64_t *from, int64_t *to);

/**
 * evs_reader_batch() - the batch of the last evs_reader_next()
 * @r: the reader
 * @batch: out
 *
 * After a record, or %EOPNOTSUPP (then @batch's data is where to decompress from,
 * behind its 61 bytes of header).  Valid as long as the record is.
 *
 * Return: 0; -EPIPE: overrun meanwhile; -ENODATA: nothing was read yet.
 */
EVS_API int evs_reader_batch(const struct evs_reader *r, struct evs_batch *batch);

/**
 * evs_reader_arm() - let poll(2) on evs_reader_fd() tell of new records
 * @r: the reader
 *
 * For event loops; evs_reader_wait() does it by itself.  Call it each time
 * evs_reader_next() returned 0, then poll for %POLLIN.
 *
 * Return: 0: nothing new, poll now; 1: something is there already; -ENODEV: the
 * topic was deleted.
 */
EVS_API int evs_reader_arm(struct evs_reader *r);

/**
 * evs_reader_wait() - sleep until there is something new
 * @r: the reader
 * @timeout_ms: for how long at most, -1: for ever
 *
 * Return: 1: call evs_reader_next(); 0: the time is over; -EINTR: a signal;
 * -ENODEV: the topic was deleted.
 */
EVS_API int evs_reader_wait(struct evs_reader *r, int timeout_ms);

/*
 * What evs_reader_next() does not do inline: r->record is the answer.  Part of
 * the ABI, not of the API.
 */
EVS_API int evs_reader_next_slow(struct evs_reader *r);

/*
 * Unaligned loads that are made just once: the compiler does not know that what
 * came of them could be loaded again.
 */
static inline uint8_t evs_load8(uintptr_t p)
{
	uint8_t v;

	memcpy(&v, (const void *)p, sizeof(v));
	__asm__("" : "+r"(v));
	return v;
}

static inline uint16_t evs_load16(uintptr_t p)
{
	uint16_t v;

	memcpy(&v, (const void *)p, sizeof(v));
	__asm__("" : "+r"(v));
	return v;
}

static inline uint32_t evs_load32(uintptr_t p)
{
	uint32_t v;

	memcpy(&v, (const void *)p, sizeof(v));
	__asm__("" : "+r"(v));
	return v;
}

static inline uint64_t evs_load64(uintptr_t p)
{
	uint64_t v;

	memcpy(&v, (const void *)p, sizeof(v));
	__asm__("" : "+r"(v));
	return v;
}

/**
 * evs_reader_next() - the next record
 * @r: the reader
 * @rec: out, where 1 is returned
 *
 * Makes no system call but where the window of address space slides (once in a
 * GiB) and where records were lost.
 *
 * The pointers in @rec are into the mapping.  They can be followed until the next
 * evs_reader_next(), _seek() or _close() of @r, and touching them never faults;
 * but a producer that laps the reader makes what they point to zeroes, at any
 * moment.  What was read through them was the record's if evs_reader_valid() says
 * so afterwards: copy or use, then ask, then believe.
 *
 * Return:
 * * 1		- a record
 * * 0		- nothing new: evs_reader_wait()
 * * -EPIPE	- records were lost, evs_reader_lost() tells which; the next call
 *		  goes on with the oldest one still held
 * * -EOPNOTSUPP - a compressed batch, evs_reader_batch() tells of it; the next
 *		  call goes on behind it
 * * -EBADMSG	- bytes that are no batch; the next call goes on behind them
 * * -ENODEV	- the topic was deleted
 * * other	- mmap(2)'s errors as the window slides; the next call tries again
 */
static inline int evs_reader_next(struct evs_reader *r, struct evs_record *rec)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	/*
	 * The commonest shape by far: an uncompressed batch of one record without
	 * key and headers, value of 64 to 8191 bytes.  Then the record up to its
	 * value is these eight bytes: length (2), attributes, timestamp delta,
	 * offset delta 0, key length -1, value length (2); the value ends one byte
	 * (no headers) before the batch.
	 */
	const uint64_t mask = 0x8080ffff80008080ULL, shape = 0x0080010000000080ULL;
	/* From byte 16 on: magic 2, and attributes without codec and control. */
	const uint64_t kind_mask = 0x00270000000000ffULL, kind = 2;
	uintptr_t p = r->next;
	size_t room = r->limit - p;

	if (__builtin_expect(room >= 69, 1)) {
		uint32_t length = __builtin_bswap32(evs_load32(p + 8));
		uint64_t head = evs_load64(p + 61);
		uint32_t zigzag = 2 * (length - 58);
		uintptr_t next = p + length + 12;

		if (__builtin_expect((head & mask) == shape &&
				     head >> 48 == zigzag + (zigzag & ~0x7fU) + 0x80 &&
				     length <= room - 12 &&
				     evs_load32(p + 57) == 0x01000000 &&
				     (evs_load64(p + 16) & kind_mask) == kind, 1)) {
			uint64_t offset = evs_load64(p);
			uint64_t timestamp;

			memcpy(&timestamp, (const void *)(p + 35), 8);
			/* The loads above come before the one of start_position. */
			__atomic_thread_fence(__ATOMIC_ACQUIRE);
			if (__builtin_expect(__atomic_load_n(&r->ctl->start_position,
							     __ATOMIC_RELAXED) <
					     next + r->delta, 1)) {
				r->next = next;
				r->batch = p;
				r->raw_offset = offset;
				rec->offset = (int64_t)__builtin_bswap64(offset);
				rec->timestamp = (int64_t)__builtin_bswap64(timestamp);
				rec->key = NULL;
				rec->value = (const void *)(p + 69);
				rec->key_len = -1;
				rec->value_len = (int32_t)(length - 58);
				rec->headers_count = 0;
				rec->headers_len = 0;
				rec->headers = NULL;
				return 1;
			}
		}
	}
#endif
	{
		int ret = evs_reader_next_slow(r);

		/* By a copy, so that @rec itself can live in registers. */
		*rec = r->record;
		return ret;
	}
}

/**
 * evs_reader_valid() - whether the last record was whole until now
 * @r: the reader
 *
 * To be asked after what evs_reader_next() returned was used.
 *
 * Return: 1: all that was read through its pointers was the record's; 0: a
 * producer overran it meanwhile, or the topic was deleted; forget what was read.
 * The next evs_reader_next() does not report that record as lost again.
 */
static inline int evs_reader_valid(const struct evs_reader *r)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&r->ctl->start_position, __ATOMIC_RELAXED) <=
			r->batch + r->delta &&
	       !(__atomic_load_n(&r->ctl->flags, __ATOMIC_RELAXED) & EVSTREAM_CTL_DEAD);
}

/* ---------------------------------------------------------- consumer groups */

struct evs_consumer;

/* &evs_consumer_options.flags */
#define EVS_CONSUMER_AUTO_COMMIT	0x01U	/* commits by itself what it handed out */
#define EVS_CONSUMER_STATIC		0x02U	/* just the partitions named */
#define EVS_CONSUMER_EXISTING		0x04U	/* do not make a new group */

/**
 * enum evs_consumer_event - what happened to a partition
 * @EVS_CONSUMER_ASSIGNED: it is the consumer's from here on
 * @EVS_CONSUMER_REVOKED: it is about to be given up: the last moment to commit
 *	what was processed of it
 * @EVS_CONSUMER_LOST: it is another member's already; what was not committed is
 *	handed out again, there
 */
enum evs_consumer_event {
	EVS_CONSUMER_ASSIGNED	= 0,
	EVS_CONSUMER_REVOKED	= 1,
	EVS_CONSUMER_LOST	= 2,
};

/**
 * typedef evs_consumer_fn - told of changes of the assignment
 * @c: the consumer; of its functions only evs_consumer_commit() may be called
 * @event: what happened
 * @partition: to which one
 * @offset: the record that would come next
 * @data: &evs_consumer_options.data
 *
 * Called from within evs_consumer_next(), _arm() and _wait().
 */
typedef void (*evs_consumer_fn)(struct evs_consumer *c, enum evs_consumer_event event,
				uint32_t partition, int64_t offset, void *data);

/**
 * struct evs_consumer_options - how to join
 * @size: sizeof(struct evs_consumer_options)
 * @flags: EVS_CONSUMER_*
 * @start: where a new group begins: EVSTREAM_SEEK_EARLIEST (also 0), _LATEST or
 *	_TIMESTAMP
 * @rebalance_ms: for how long it may keep a partition that another member shall
 *	have, 0: 5 seconds
 * @value: of %EVSTREAM_SEEK_TIMESTAMP: ms
 * @max_poll_ms: having something to read, and no call of evs_consumer_next() or
 *	_wait() for so long, it loses its partitions until the next one, 0: never
 * @nr_partitions: of %EVS_CONSUMER_STATIC: entries at @partitions
 * @partitions: of %EVS_CONSUMER_STATIC: which ones
 * @on_event: told of changes; NULL: nobody is
 * @data: for @on_event
 *
 * All zero but @size is fine, as is no structure at all.
 */
struct evs_consumer_options {
	size_t size;
	uint32_t flags;
	uint32_t start;
	int64_t value;
	uint32_t rebalance_ms;
	uint32_t max_poll_ms;
	const uint32_t *partitions;
	uint32_t nr_partitions;
	evs_consumer_fn on_event;
	void *data;
};

/**
 * evs_consumer_open() - become a member of a consumer group
 * @topic: the topic's name
 * @group: the group's name; it is made where there is none
 * @options: how, NULL: with none
 *
 * Delivery is at least once: a record is handed out again if the group had not
 * committed it when its partition went to another member.
 *
 * Return: the consumer; NULL with errno set: that of open(2) or &EVSTREAM_IOC_JOIN,
 * %ENOMEM, %EINVAL (a name or an option is out of range).
 */
EVS_API struct evs_consumer *evs_consumer_open(const char *topic, const char *group,
					       const struct evs_consumer_options *options);

/**
 * evs_consumer_close() - leave the group
 * @c: the consumer; NULL is fine
 *
 * Commits before where %EVS_CONSUMER_AUTO_COMMIT is set. The other members have its
 * partitions when this returns, even if a child has inherited the file.
 */
EVS_API void evs_consumer_close(struct evs_consumer *c);

/**
 * evs_consumer_fd() - the member's file descriptor, of the topic's ``any``
 * @c: the consumer
 *
 * For poll(2), after evs_consumer_arm(): %POLLIN (records) and %POLLPRI (the
 * assignment changed). For &EVSTREAM_IOC_COMMIT of other offsets than
 * evs_consumer_commit() would, and &EVSTREAM_IOC_POSITION. Read, FETCH, SEEK and
 * ASSIGNMENT are the library's.
 */
EVS_API int evs_consumer_fd(const struct evs_consumer *c);

/**
 * evs_consumer_next() - the next record of any partition owned
 * @c: the consumer
 * @rec: out, where 1 is returned
 * @partition: out, where 1 or an error of a partition is returned; may be NULL
 *
 * Records of a partition come in their order. After each 64 KiB of one partition
 * the next one has its turn.
 *
 * Makes no system call per record: the assignment is looked at after each 64 KiB,
 * and each 50 ms. A system call is then a few instructions a record, and a partition
 * that is asked for is given up long before &evs_consumer_options.rebalance_ms
 * are over, by a slow consumer, too.
 *
 * The pointers in @rec can be followed until the next evs_consumer_next(), _arm(),
 * _wait() or _close(). As with evs_reader_next(), what was read through them was
 * the record's if evs_consumer_valid() says so afterwards.
 *
 * Return:
 * * 1		- a record
 * * 0		- nothing new: evs_consumer_wait()
 * * -EPIPE	- records were dropped before they were read, evs_consumer_lost()
 *		  tells which; the next call goes on
 * * -EOPNOTSUPP - a compressed batch; the next call goes on behind it, and a commit
 *		  then covers it
 * * -EBADMSG	- bytes that are no batch; the next call goes on behind them
 * * -ENODEV	- the topic was deleted
 * * other	- the errors of open(2) and mmap(2) of a partition that was assigned
 *		  (%EMFILE: each takes a file descriptor); the next call tries again
 */
EVS_API int evs_consumer_next(struct evs_consumer *c, struct evs_record *rec,
			      uint32_t *partition);

/**
 * evs_consumer_valid() - whether the last record was whole until now
 * @c: the consumer
 *
 * Return: as evs_reader_valid().
 */
EVS_API int evs_consumer_valid(const struct evs_consumer *c);

/**
 * evs_consumer_lost() - what the last %EPIPE was about
 * @c: the consumer
 * @from: out: the first offset lost; may be NULL
 * @to: out: one after the last one; may be NULL
 *
 * Return: offsets lost by this consumer so far, of all partitions.
 */
EVS_API uint64_t evs_consumer_lost(const struct evs_consumer *c, int64_t *from, int64_t *to);

/**
 * evs_consumer_commit() - commit all that evs_consumer_next() has handed out
 * @c: the consumer
 * @flags: 0, or %EVSTREAM_COMMIT_SYNC
 *
 * The last record handed out included. One system call for all partitions of
 * which there is something to commit, none where there is nothing.
 *
 * Return: 0; -ESTALE: a partition was another member's since, the others were
 * committed; &EVSTREAM_IOC_COMMIT's other errors.
 */
EVS_API int evs_consumer_commit(struct evs_consumer *c, unsigned int flags);

/**
 * evs_consumer_arm() - let poll(2) on evs_consumer_fd() tell of new records
 * @c: the consumer
 *
 * For event loops; evs_consumer_wait() does it by itself. Call it each time
 * evs_consumer_next() returned 0, then poll for %POLLIN and %POLLPRI.
 *
 * Return: 0: nothing new, poll now; 1: call evs_consumer_next(); or its errors.
 */
EVS_API int evs_consumer_arm(struct evs_consumer *c);

/**
 * evs_consumer_wait() - sleep until there is something new
 * @c: the consumer
 * @timeout_ms: for how long at most, -1: for ever
 *
 * Return: 1: call evs_consumer_next(); 0: the time is over; -EINTR: a signal; or
 * evs_consumer_next()'s errors.
 */
EVS_API int evs_consumer_wait(struct evs_consumer *c, int timeout_ms);

/* --------------------------------------------------------- batches in memory */

/* flags of evs_batch_iter_init() */
#define EVS_ITER_CRC		0x01U	/* check each batch's CRC */

/**
 * struct evs_batch_iter - walks the records of batches in memory
 *
 * All members are private.
 */
struct evs_batch_iter {
	/* private: */
	const uint8_t *next;
	const uint8_t *end;
	const uint8_t *record;
	const uint8_t *batch_end;
	uint32_t left;
	uint32_t flags;
	struct evs_batch batch;
};

/**
 * evs_batch_iter_init() - start to walk batches
 * @it: the iterator
 * @buf: batches back to back: what &EVSTREAM_IOC_FETCH returned, Kafka's Fetch
 *	answer, a segment file; nobody changes it meanwhile
 * @len: its bytes
 * @flags: 0 or %EVS_ITER_CRC
 */
EVS_API void evs_batch_iter_init(struct evs_batch_iter *it, const void *buf, size_t len,
				 unsigned int flags);

/**
 * evs_batch_iter_next() - the next record
 * @it: the iterator
 * @rec: out, where 1 is returned; it points into the buffer
 *
 * Skips control batches and empty ones.  A fetch by offset begins with the batch
 * that holds it, so the first records can be older ones.
 *
 * Return: 1; 0: no whole batch is left (evs_batch_iter_rest() bytes are);
 * -EOPNOTSUPP: a compressed batch, the next call goes on behind it; -EBADMSG: a
 * batch that does not parse or has a wrong CRC, the next call goes on behind it
 * where its length can be right, else returns 0.
 */
EVS_API int evs_batch_iter_next(struct evs_batch_iter *it, struct evs_record *rec);

/**
 * evs_batch_iter_batch() - the batch of the last evs_batch_iter_next()
 * @it: the iterator
 *
 * After a record, or -EOPNOTSUPP.
 */
EVS_API const struct evs_batch *evs_batch_iter_batch(const struct evs_batch_iter *it);

/**
 * evs_batch_iter_rest() - bytes of the buffer behind the last batch walked
 * @it: the iterator
 *
 * After evs_batch_iter_next() returned 0: a batch cut off by the buffer's end, or
 * a zero-filled tail.
 */
EVS_API size_t evs_batch_iter_rest(const struct evs_batch_iter *it);

/**
 * evs_batch_verify() - all that the kernel checks before it appends a batch
 * @batch: a whole batch
 * @size: its bytes
 * @max_record: the record limit in bytes
 *
 * Return: 0, -EBADMSG, -EMSGSIZE or -EINVAL, as &EVSTREAM_IOC_APPEND_BATCH.
 */
EVS_API int evs_batch_verify(const void *batch, size_t size, uint32_t max_record);

/* ----------------------------------------------------------------- building */

struct evs_builder;

/**
 * evs_builder_new() - something to build batches with
 * @buf: where to build; NULL: in memory of its own, that grows
 * @size: bytes at @buf, at least 61; with NULL: the largest batch, 0: 1 GiB
 *
 * Return: the builder; NULL with errno set (%ENOMEM, %EINVAL).
 */
EVS_API struct evs_builder *evs_builder_new(void *buf, size_t size);

/**
 * evs_builder_free() - free it
 * @b: the builder; NULL is fine
 */
EVS_API void evs_builder_free(struct evs_builder *b);

/**
 * evs_builder_reset() - forget the records added
 * @b: the builder
 */
EVS_API void evs_builder_reset(struct evs_builder *b);

/**
 * evs_builder_add() - add a record to the batch
 * @b: the builder
 * @rec: the record; its offset is ignored, a timestamp of -1 is now, key_len and
 *	value_len of -1 are null, headers are as evs_header_encode() makes them
 *
 * After evs_builder_finish() this begins the next batch, in the same memory.
 *
 * Return: 0; -EMSGSIZE: the record does not fit any more, the batch is as before
 * (finish it, and add the record to the next one); -EINVAL: a length or a
 * timestamp is out of range, or the headers do not parse; -ENOMEM.
 */
EVS_API int evs_builder_add(struct evs_builder *b, const struct evs_record *rec);

/**
 * evs_builder_producer() - name the idempotent producer of the batches
 * @b: the builder
 * @id: its producer id; -1: none, as at first
 * @epoch: its epoch
 * @sequence: sequence of the first record of the batch being built
 *
 * The kernel appends a batch of such a producer once only.  Each
 * evs_builder_finish() moves the sequence on behind the batch's records, from
 * 2^31 - 1 to 0; to build a batch once more, name its sequence again.
 *
 * Return: 0; -EINVAL: a number is negative.
 */
EVS_API int evs_builder_producer(struct evs_builder *b, int64_t id, int16_t epoch,
				 int32_t sequence);

/**
 * evs_builder_count() - records in the batch so far
 * @b: the builder
 */
EVS_API uint32_t evs_builder_count(const struct evs_builder *b);

/**
 * evs_builder_size() - bytes of the batch so far
 * @b: the builder
 */
EVS_API size_t evs_builder_size(const struct evs_builder *b);

/**
 * evs_builder_finish() - make a RecordBatch of the records added
 * @b: the builder
 * @batch: out: the batch, its base offset 0; good until the next call with @b
 * @size: out: its bytes
 *
 * Return: 0; -ENODATA: no records.
 */
EVS_API int evs_builder_finish(struct evs_builder *b, const void **batch, size_t *size);

/**
 * evs_append_batch() - append a batch (&EVSTREAM_IOC_APPEND_BATCH)
 * @fd: a partition's device, or a topic's ``any``
 * @partition: on ``any``: which one; on a partition: 0
 * @batch: a whole batch
 * @size: its bytes
 * @base_offset: out: the offset of its first record; may be NULL
 *
 * Return: 0, or the ioctl's error.
 */
EVS_API int evs_append_batch(int fd, uint32_t partition, const void *batch, size_t size,
			     int64_t *base_offset);

/**
 * evs_partition_for_key() - where Kafka's default partitioner puts a key
 * @key: the key
 * @len: its bytes
 * @partitions: how many there are, at least 1
 */
EVS_API uint32_t evs_partition_for_key(const void *key, size_t len, uint32_t partitions);

/**
 * evs_crc32c() - CRC-32C (Castagnoli)
 * @crc: 0, or the CRC of what comes before
 * @data: bytes
 * @len: how many
 */
EVS_API uint32_t evs_crc32c(uint32_t crc, const void *data, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* EVSTREAM_H */
