/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * evstream: event log devices, /dev/stream/<topic>/<partition> and
 * /dev/stream/<topic>/any
 *
 * The log holds Apache Kafka's RecordBatch v2 (magic 2), back to back.
 * Offsets number records; positions are byte addresses in the log.  Both only
 * grow.  Times are milliseconds since the epoch, sizes are bytes.
 */
#ifndef _UAPI_LINUX_EVSTREAM_H
#define _UAPI_LINUX_EVSTREAM_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: limits
 *
 * %EVSTREAM_NAME_MAX: letters in a topic's name, of ``[a-zA-Z0-9._-]``, neither
 * ``.`` nor ``..`` (Kafka's rule).
 *
 * %EVSTREAM_PARTITIONS_MAX: partitions of one topic.
 *
 * %EVSTREAM_SEGMENT_MIN, %EVSTREAM_SEGMENT_MAX: a segment is a power of two
 * between the two.  Kafka's index holds positions as int32, hence the upper one.
 *
 * %EVSTREAM_RECORD_MAX: the greatest record limit a topic can have.  A record
 * counts as the sum of its key, its value and its headers as encoded.
 *
 * %EVSTREAM_APPEND_MAX: records in one &EVSTREAM_IOC_APPEND.
 *
 * %EVSTREAM_GROUP_NAME_MAX: bytes of a group's name: any but control characters
 * and ``/``.
 *
 * %EVSTREAM_TIMEOUT_MAX: the longest timeout of a group, in milliseconds: a day.
 *
 * %EVSTREAM_IN_FLIGHT_MAX: records of one partition that a queue has handed out
 * and that were not acknowledged (Kafka's group.share.partition.max.record.locks).
 */
#define EVSTREAM_NAME_MAX	249
#define EVSTREAM_PARTITIONS_MAX	4096
#define EVSTREAM_SEGMENT_MIN	(64U << 10)
#define EVSTREAM_SEGMENT_MAX	(1U << 30)
#define EVSTREAM_RECORD_MAX	(16U << 20)
#define EVSTREAM_APPEND_MAX	1024
#define EVSTREAM_GROUP_NAME_MAX	249
#define EVSTREAM_TIMEOUT_MAX	86400000U
#define EVSTREAM_IN_FLIGHT_MAX	2000

/**
 * enum evstream_framing - what delimits records in read() and write()
 * @EVSTREAM_FRAMING_RECORD: the call: one write() is one record, one read()
 *	returns one value
 * @EVSTREAM_FRAMING_LINE: the newline: one write() is one batch of the lines it
 *	holds (several where it has more than 1 MiB), a partial last line waits for
 *	its newline or the close; read() returns as many whole lines as fit
 */
enum evstream_framing {
	EVSTREAM_FRAMING_RECORD	= 0,
	EVSTREAM_FRAMING_LINE	= 1,
};

/**
 * enum evstream_whence - where &EVSTREAM_IOC_SEEK goes
 * @EVSTREAM_SEEK_OFFSET: the record &evstream_seek.value; beyond the end waits
 *	there for that record, before the start is reported as a gap by the next
 *	read
 * @EVSTREAM_SEEK_EARLIEST: the first record still held
 * @EVSTREAM_SEEK_LATEST: after the last record
 * @EVSTREAM_SEEK_TIMESTAMP: the first record not older than &evstream_seek.value
 *	milliseconds; after the last record where there is none
 */
enum evstream_whence {
	EVSTREAM_SEEK_OFFSET	= 0,
	EVSTREAM_SEEK_EARLIEST	= 1,
	EVSTREAM_SEEK_LATEST	= 2,
	EVSTREAM_SEEK_TIMESTAMP	= 3,
};

/**
 * DOC: partition argument
 *
 * On a partition's device the @partition member of every structure below must
 * be 0 or that partition's number.  On ``any`` it names one; where the comment of
 * the member says so, %EVSTREAM_ALL stands for all of them.
 */
#define EVSTREAM_ALL		(~0U)

/**
 * struct evstream_record - one record of &EVSTREAM_IOC_APPEND
 * @key: address of the key
 * @value: address of the value
 * @headers: address of @headers_count headers in Kafka's wire form, each
 *	{varint key length, key, varint value length or -1, value} (zigzag varints),
 *	without the count in front
 * @key_len: bytes of the key, -1: no key
 * @value_len: bytes of the value, -1: null (a tombstone)
 * @headers_len: bytes at @headers; they must hold just @headers_count headers
 * @headers_count: headers
 * @timestamp: creation time in milliseconds, -1: the time of the append
 * @offset: returned: the record's offset, -1 where it was not appended
 * @partition: returned: the partition it went to
 * @error: returned: 0 or a negative errno
 *
 * With a key on ``any``, the partition is Kafka's default partitioner's; without
 * one it is the open file's own.
 */
struct evstream_record {
	__aligned_u64 key;
	__aligned_u64 value;
	__aligned_u64 headers;
	__s32 key_len;
	__s32 value_len;
	__u32 headers_len;
	__u32 headers_count;
	__s64 timestamp;
	__s64 offset;
	__u32 partition;
	__s32 error;
};

/**
 * struct evstream_append - append records (Kinesis' PutRecords)
 * @records: address of an array of &struct evstream_record
 * @nr_records: entries in the array, 1 to %EVSTREAM_APPEND_MAX
 * @record_size: sizeof(struct evstream_record)
 * @flags: must be 0
 * @appended: returned: how many were appended
 *
 * Records that go to one partition are one batch where they fit one, in the
 * order given; the array is worked on by the MiB.  Each record's fate is in its
 * own @error, and one that fails does not stop those behind it: the call returns
 * 0 when at least one was appended, else the first record's error.  Where the
 * array itself cannot be read or written, entries stay as they were.
 */
struct evstream_append {
	__aligned_u64 records;
	__u32 nr_records;
	__u32 record_size;
	__u32 flags;
	__u32 appended;
};

/**
 * struct evstream_append_batch - append a RecordBatch the client built
 * @batch: address of one whole RecordBatch v2; its base offset and leader epoch
 *	are replaced, all else is stored as it is
 * @len: its bytes
 * @partition: where it goes
 * @flags: must be 0
 * @reserved: must be 0
 * @base_offset: returned: the offset of its first record
 *
 * Refused with nothing appended: %EBADMSG (magic, length, CRC, or a record that
 * does not parse), %EMSGSIZE (a record over the topic's limit, a compressed
 * batch over it, or a batch that no segment holds), %EINVAL (control or
 * transactional batches, an unknown codec).
 *
 * A batch with a producer id, an epoch and a sequence is taken once, as by Kafka:
 * one of its producer's last five again is not appended, and @base_offset is that
 * of the first time; %EILSEQ, its sequence does not follow; %ESTALE, a batch of
 * the same producer with a higher epoch was taken before.
 */
struct evstream_append_batch {
	__aligned_u64 batch;
	__u32 len;
	__u32 partition;
	__u32 flags;
	__u32 reserved;
	__s64 base_offset;
};

/**
 * struct evstream_fetch - read whole batches (Kafka's Fetch)
 * @buf: address of the buffer
 * @len: its bytes: the most that is returned
 * @min_bytes: wait until so much is there, or @timeout_ms; 0 never waits
 * @timeout_ms: how long to wait, in milliseconds, -1: for ever; O_NONBLOCK never
 *	waits
 * @partition: which one
 * @flags: must be 0
 * @bytes: returned: bytes stored, always whole batches
 * @offset: the first record wanted; the batch that holds it is the first
 *	returned.  -1: the file's position, which then moves on behind what was
 *	returned
 * @next_offset: returned: the offset to fetch next
 * @start_offset: returned: the first record still held
 * @end_offset: returned: the high watermark, one after the last record
 * @position: returned: log position of the first batch returned
 *
 * Errors: %EMSGSIZE, the next batch is larger than @len and @bytes tells its
 * size; %ERANGE, @offset is before the start or beyond the end (the watermarks
 * are returned); %EPIPE, as read(), with @offset -1.
 *
 * What is returned can begin with records before @offset, and hold batches without
 * records, with the control bit in their attributes: consumers skip both.
 */
struct evstream_fetch {
	__aligned_u64 buf;
	__u32 len;
	__u32 min_bytes;
	__s32 timeout_ms;
	__u32 partition;
	__u32 flags;
	__u32 bytes;
	__s64 offset;
	__s64 next_offset;
	__s64 start_offset;
	__s64 end_offset;
	__aligned_u64 position;
};

/**
 * struct evstream_seek - move the file's position
 * @whence: an &enum evstream_whence
 * @partition: which one, or %EVSTREAM_ALL on ``any`` (then @offset and @position
 *	return 0, and of offsets @value can only be 0)
 * @value: an offset, or a time in milliseconds, below 2^62; not negative
 * @offset: returned: the file's new position
 * @position: returned: log position of the batch that holds it (of the end of
 *	the log where it is not there yet)
 */
struct evstream_seek {
	__u32 whence;
	__u32 partition;
	__s64 value;
	__s64 offset;
	__aligned_u64 position;
};

/**
 * struct evstream_stat - a partition as it is now
 * @partition: which one; returned: its number
 * @partitions: returned: how many the topic has
 * @framing: returned: the open file's &enum evstream_framing
 * @segment_shift: returned: a segment is 1 << this
 * @max_record: returned: the record limit in bytes
 * @reserved: returned as 0
 * @offset: returned: the open file's position, -1 if not opened for reading
 * @start_offset: returned: the first record still held
 * @end_offset: returned: the high watermark
 * @start_position: returned: log position of the first byte still held
 * @end_position: returned: log position after the last byte
 * @appended_records: returned: records since the topic was created (offsets: those
 *	of appends that failed count)
 * @appended_bytes: returned: bytes of batches since the topic was created
 * @lost_records: returned: records (offsets) this open file was too late for
 * @durable_offset: returned: the records below it are on stable storage, -1: those
 *	of a volatile topic never are
 */
struct evstream_stat {
	__u32 partition;
	__u32 partitions;
	__u32 framing;
	__u32 segment_shift;
	__u32 max_record;
	__u32 reserved;
	__s64 offset;
	__s64 start_offset;
	__s64 end_offset;
	__aligned_u64 start_position;
	__aligned_u64 end_position;
	__aligned_u64 appended_records;
	__aligned_u64 appended_bytes;
	__aligned_u64 lost_records;
	__s64 durable_offset;
};

/**
 * struct evstream_set_framing - choose the open file's framing
 * @framing: an &enum evstream_framing
 * @reserved: must be 0
 *
 * %EBUSY: a partial line waits in this file.
 */
struct evstream_set_framing {
	__u32 framing;
	__u32 reserved;
};

/**
 * struct evstream_gap - what the last %EPIPE was about
 * @partition: which one
 * @reserved: must be 0
 * @from: returned: the first offset lost
 * @to: returned: one after the last offset lost; equal to @from: no gap yet
 * @lost: returned: all records (offsets) this open file lost in the partition so
 *	far
 *
 * pread() and a FETCH that names an offset leave it alone.
 */
struct evstream_gap {
	__u32 partition;
	__u32 reserved;
	__s64 from;
	__s64 to;
	__aligned_u64 lost;
};

/**
 * struct evstream_trim - drop records from the start (Kafka's DeleteRecords)
 * @partition: which one, or %EVSTREAM_ALL on ``any`` (@offset must be -1 then)
 * @flags: must be 0
 * @offset: the first record to keep; -1: drop all there are
 * @start_offset: returned: the first record still held (0 for %EVSTREAM_ALL)
 *
 * Needs a file open for writing.  This is what makes room in a full ring of a
 * topic that blocks or fails its producers.  %ERANGE: @offset is beyond the end.
 */
struct evstream_trim {
	__u32 partition;
	__u32 flags;
	__s64 offset;
	__s64 start_offset;
};

/**
 * DOC: consumer groups
 *
 * A file of ``any`` that is open for reading can join a group of its topic; it is
 * the member, whoever holds it: a child that inherited it, a process that was
 * sent it.  It leaves with LEAVE or when its last reference goes, however that
 * comes about, and the others have its partitions before close() returns.
 *
 * read(), FETCH with an offset of -1 and poll() then go over the partitions that
 * the member owns.  A partition's owner begins at the committed offset.  To give a
 * partition to a member that joins, its owner is asked first: it is served no
 * more of it, poll() tells by EPOLLPRI, and the partition moves as soon as all
 * that was served of it is committed, or the owner acknowledges (ASSIGNMENT), or
 * leaves, or &evstream_join.rebalance_ms have passed.  What was served and not
 * committed until then is served again, to the new owner: at least once.
 *
 * With %EVSTREAM_JOIN_AUTO a record is committed in the moment in which read() or
 * FETCH has it copied, before the call returns: at most once.
 *
 * With %EVSTREAM_JOIN_QUEUE records are handed out, not partitions (Kafka's share
 * groups): each to one member at a time, which acknowledges, releases or rejects
 * it.  What a member does not within the acquisition lock's time, or has when
 * it leaves or dies, is handed out again.
 *
 * Errors of a member's calls: %ESTALE, the partition (or the record) is not this
 * member's, or not any more; nothing was changed.
 */

/* struct evstream_join.flags */
#define EVSTREAM_JOIN_AUTO	(1U << 0)	/* commit on read */
#define EVSTREAM_JOIN_STATIC	(1U << 1)	/* just the partitions named */
#define EVSTREAM_JOIN_ACK	(1U << 2)	/* partitions go when ASSIGNMENT says so */
#define EVSTREAM_JOIN_QUEUE	(1U << 3)	/* records are handed out */
#define EVSTREAM_JOIN_KEYED	(1U << 4)	/* of a queue: one in flight per key */
#define EVSTREAM_JOIN_EXISTING	(1U << 5)	/* do not make a new group */

/**
 * struct evstream_join - become a member of a group
 * @name: address of the group's name
 * @partitions: of %EVSTREAM_JOIN_STATIC: address of an array of __u32
 * @name_len: its bytes, 1 to %EVSTREAM_GROUP_NAME_MAX, without a zero
 * @nr_partitions: entries at @partitions; 0 without %EVSTREAM_JOIN_STATIC
 * @flags: EVSTREAM_JOIN_*
 * @start: of a new group: where it begins, an &enum evstream_whence: EARLIEST,
 *	LATEST or TIMESTAMP.  Settled for each partition when the group is made
 * @value: of %EVSTREAM_SEEK_TIMESTAMP: milliseconds, else 0
 * @rebalance_ms: how long this member may keep what another one shall have, 0:
 *	5 seconds
 * @max_poll_ms: a member that has something to read and makes no call for so
 *	long loses its partitions until its next call (Kafka's
 *	max.poll.interval.ms), 10 at least, 0: never
 * @lock_ms: of a new queue: for how long a record is acquired, 0: 30 seconds
 * @max_deliveries: of a new queue: a record that comes back so often is given
 *	up, 0: 5
 * @dead_letter: of a new queue: a file descriptor open for writing of another
 *	topic's node, to which such records go; -1: none; 0 or -1 where it is no
 *	queue
 * @member: returned: the member's number in the group
 * @generation: returned: the group's
 * @reserved: must be 0
 *
 * @start, @value, @lock_ms, @max_deliveries, @dead_letter and %EVSTREAM_JOIN_KEYED are
 * the group's: they count for who makes it, and for the first who joins a queue
 * after its topic was attached.  All else is the member's.
 *
 * %EBUSY: the file is a member, or was one of another group, or of one that was
 * deleted since, or another member has one of the partitions named; %ENXIO: no such
 * partition; %ENOENT: there is no such group (%EVSTREAM_JOIN_EXISTING); %EPROTOTYPE:
 * the group is a queue and that was not asked for, or the other way round; %ENOSPC:
 * as many groups or members as the module allows; %EDQUOT: as many, or as much memory,
 * as it allows one user; %EOPNOTSUPP: not a file of ``any``; %EBADF, %EINVAL:
 * @dead_letter is not such a descriptor (a zero is, too).
 */
struct evstream_join {
	__aligned_u64 name;
	__aligned_u64 partitions;
	__u32 name_len;
	__u32 nr_partitions;
	__u32 flags;
	__u32 start;
	__s64 value;
	__u32 rebalance_ms;
	__u32 max_poll_ms;
	__u32 lock_ms;
	__u32 max_deliveries;
	__s32 dead_letter;
	__u32 member;
	__u32 generation;
	__u32 reserved;
};

/**
 * struct evstream_commit_entry - one partition of a commit
 * @partition: which one
 * @generation: as ASSIGNMENT gave it: %ESTALE if the partition was another
 *	member's since, 0: whichever
 * @offset: the record to be read next, -1: the file's position
 * @error: returned: 0 or a negative errno
 * @reserved: must be 0
 */
struct evstream_commit_entry {
	__u32 partition;
	__u32 generation;
	__s64 offset;
	__s32 error;
	__u32 reserved;
};

/* struct evstream_commit.flags */
#define EVSTREAM_COMMIT_SYNC	(1U << 0)	/* on stable storage, where there is any */

/**
 * struct evstream_commit - say how far one is
 * @entries: address of an array of &struct evstream_commit_entry
 * @nr_entries: entries in the array, 0: all partitions that the member owns, at
 *	the file's position
 * @entry_size: sizeof(struct evstream_commit_entry)
 * @flags: EVSTREAM_COMMIT_*
 * @committed: returned: how many were committed
 *
 * Each entry's fate is in its own @error: %ESTALE, %ENXIO, %ERANGE (beyond the
 * end), %EINVAL.  The call returns 0 when all were committed, else the first
 * one's error.  Of a durable topic it is in the log of offsets then, and on
 * stable storage as soon as the topic's records of that time are.
 */
struct evstream_commit {
	__aligned_u64 entries;
	__u32 nr_entries;
	__u32 entry_size;
	__u32 flags;
	__u32 committed;
};

/**
 * struct evstream_position - a partition in the member's group
 * @partition: which one
 * @owner: returned: number of its owner, 0: none
 * @generation: returned: the generation in which the owner got it
 * @flags: returned: EVSTREAM_ASSIGNED_*
 * @offset: returned: the record that is served next
 * @committed: returned: the committed offset
 * @committed_ms: returned: when that was, milliseconds since the epoch
 * @start_offset: returned: the first record still held
 * @end_offset: returned: the high watermark
 *
 * Of a queue, @committed is where the first record lies that is not settled.
 */
struct evstream_position {
	__u32 partition;
	__u32 owner;
	__u32 generation;
	__u32 flags;
	__s64 offset;
	__s64 committed;
	__s64 committed_ms;
	__s64 start_offset;
	__s64 end_offset;
};

/* struct evstream_assigned.flags */
#define EVSTREAM_ASSIGNED_REVOKING	(1U << 0)	/* another member waits for it */

/**
 * struct evstream_assigned - a partition that the member owns
 * @partition: which one
 * @generation: the generation in which it was given to the member
 * @offset: the record that is served next
 * @flags: EVSTREAM_ASSIGNED_*
 * @reserved: returned as 0
 */
struct evstream_assigned {
	__u32 partition;
	__u32 generation;
	__s64 offset;
	__u32 flags;
	__u32 reserved;
};

/**
 * struct evstream_assignment - what the member owns
 * @assigned: address of an array of &struct evstream_assigned
 * @room: entries it has room for
 * @entry_size: sizeof(struct evstream_assigned)
 * @ack: lets go of the partitions that were asked for up to this generation, as
 *	a call before returned it; 0: of none
 * @flags: must be 0
 * @nr: returned: how many the member owns; if there are more than @room, only
 *	the first ones are stored
 * @generation: returned: the group's; EPOLLPRI tells of a later one
 * @members: returned: how many the group has
 * @member: returned: the member's number
 */
struct evstream_assignment {
	__aligned_u64 assigned;
	__u32 room;
	__u32 entry_size;
	__u32 ack;
	__u32 flags;
	__u32 nr;
	__u32 generation;
	__u32 members;
	__u32 member;
};

/**
 * struct evstream_acquired - a record that a queue has handed out
 * @partition: where it is
 * @deliveries: how often it was handed out, this time included
 * @offset: its offset
 * @timestamp: its time, ms
 * @key: where its key begins in the buffer
 * @value: where its value begins in the buffer
 * @headers: where its headers begin in the buffer, as in &struct evstream_record
 * @key_len: bytes of the key, -1: null
 * @value_len: bytes of the value, -1: null
 * @headers_len: bytes of the headers
 * @headers_count: headers
 * @reserved: returned as 0
 */
struct evstream_acquired {
	__u32 partition;
	__u32 deliveries;
	__s64 offset;
	__s64 timestamp;
	__u32 key;
	__u32 value;
	__u32 headers;
	__s32 key_len;
	__s32 value_len;
	__u32 headers_len;
	__u32 headers_count;
	__u32 reserved;
};

/**
 * struct evstream_acquire - take records from a queue
 * @records: address of an array of &struct evstream_acquired
 * @buf: address of the buffer for keys, values and headers
 * @nr_records: entries at @records: the most that are taken
 * @record_size: sizeof(struct evstream_acquired)
 * @len: bytes at @buf
 * @timeout_ms: how long to wait for the first one, in milliseconds, -1: for
 *	ever; O_NONBLOCK never waits
 * @flags: must be 0
 * @nr: returned: how many were taken
 * @need: returned with %EMSGSIZE: bytes that the next record needs
 * @reserved: must be 0
 *
 * Without one, 0 and an @nr of 0 at the end of @timeout_ms, and %EAGAIN with
 * O_NONBLOCK.  read() takes one record, returns its value, and acknowledges the one
 * that the read() before it returned.
 *
 * %EFAULT: nothing was taken, unless it is this structure that cannot be written any
 * more: then records were, and come again when the member leaves or their lock ends.
 * %EDQUOT: what the group has in flight is all the memory that its maker may have.
 */
struct evstream_acquire {
	__aligned_u64 records;
	__aligned_u64 buf;
	__u32 nr_records;
	__u32 record_size;
	__u32 len;
	__s32 timeout_ms;
	__u32 flags;
	__u32 nr;
	__u32 need;
	__u32 reserved;
};

/**
 * enum evstream_settle - what becomes of a record that was taken from a queue
 * @EVSTREAM_SETTLE_ACCEPT: it was processed
 * @EVSTREAM_SETTLE_RELEASE: hand it out again
 * @EVSTREAM_SETTLE_REJECT: give it up: to the dead-letter topic where there is one
 * @EVSTREAM_SETTLE_RENEW: the acquisition lock's time begins anew
 */
enum evstream_settle {
	EVSTREAM_SETTLE_ACCEPT	= 0,
	EVSTREAM_SETTLE_RELEASE	= 1,
	EVSTREAM_SETTLE_REJECT	= 2,
	EVSTREAM_SETTLE_RENEW	= 3,
};

/**
 * struct evstream_ack_entry - records that were taken from a queue
 * @partition: where they are
 * @settle: an &enum evstream_settle
 * @first: offset of the first one
 * @last: offset of the last one
 * @error: returned: 0 or a negative errno
 * @reserved: must be 0
 *
 * %ESTALE: one of them is not the member's, and none was changed.
 */
struct evstream_ack_entry {
	__u32 partition;
	__u32 settle;
	__s64 first;
	__s64 last;
	__s32 error;
	__u32 reserved;
};

/**
 * struct evstream_ack - settle records that were taken from a queue
 * @entries: address of an array of &struct evstream_ack_entry
 * @nr_entries: entries in the array, 0: all that the member has, accepted
 * @entry_size: sizeof(struct evstream_ack_entry)
 * @flags: EVSTREAM_COMMIT_*
 * @settled: returned: how many entries were settled
 *
 * Errors are told as by COMMIT.
 */
struct evstream_ack {
	__aligned_u64 entries;
	__u32 nr_entries;
	__u32 entry_size;
	__u32 flags;
	__u32 settled;
};

/**
 * DOC: ioctls
 *
 * Every structure may grow at its end: the kernel takes any size from that of the
 * first version on (else %EINVAL), wants what it does not know to be zero
 * (%E2BIG), and takes what is missing as zero.
 *
 * Common errors: %EFAULT, %EINVAL (unknown flag, reserved member not zero, number
 * out of range), %EBADF (the file is not open for it), %ENODEV (the topic was
 * deleted), %ENXIO (no such partition), %ENOTTY (unknown ioctl).
 */
#define EVSTREAM_IOC_MAGIC		0xB7
#define EVSTREAM_IOC_APPEND		_IOWR(EVSTREAM_IOC_MAGIC, 0x01, struct evstream_append)
#define EVSTREAM_IOC_APPEND_BATCH	_IOWR(EVSTREAM_IOC_MAGIC, 0x02, \
					      struct evstream_append_batch)
#define EVSTREAM_IOC_FETCH		_IOWR(EVSTREAM_IOC_MAGIC, 0x03, struct evstream_fetch)
#define EVSTREAM_IOC_SEEK		_IOWR(EVSTREAM_IOC_MAGIC, 0x04, struct evstream_seek)
#define EVSTREAM_IOC_STAT		_IOWR(EVSTREAM_IOC_MAGIC, 0x05, struct evstream_stat)
#define EVSTREAM_IOC_SET_FRAMING	_IOW(EVSTREAM_IOC_MAGIC, 0x06, struct evstream_set_framing)
#define EVSTREAM_IOC_GAP		_IOWR(EVSTREAM_IOC_MAGIC, 0x07, struct evstream_gap)
#define EVSTREAM_IOC_TRIM		_IOWR(EVSTREAM_IOC_MAGIC, 0x08, struct evstream_trim)
#define EVSTREAM_IOC_JOIN		_IOWR(EVSTREAM_IOC_MAGIC, 0x09, struct evstream_join)
#define EVSTREAM_IOC_LEAVE		_IO(EVSTREAM_IOC_MAGIC, 0x0a)
#define EVSTREAM_IOC_COMMIT		_IOWR(EVSTREAM_IOC_MAGIC, 0x0b, struct evstream_commit)
#define EVSTREAM_IOC_POSITION		_IOWR(EVSTREAM_IOC_MAGIC, 0x0c, struct evstream_position)
#define EVSTREAM_IOC_ASSIGNMENT		_IOWR(EVSTREAM_IOC_MAGIC, 0x0d, struct evstream_assignment)
#define EVSTREAM_IOC_ACQUIRE		_IOWR(EVSTREAM_IOC_MAGIC, 0x0e, struct evstream_acquire)
#define EVSTREAM_IOC_ACK		_IOWR(EVSTREAM_IOC_MAGIC, 0x0f, struct evstream_ack)

/**
 * DOC: mapping a partition
 *
 * mmap(), shared and read-only, of a partition's device::
 *
 *	offset %EVSTREAM_MMAP_CTL            struct evstream_ctl (one page)
 *	offset %EVSTREAM_MMAP_LOG + position the log
 *
 * A consumer loads @end_position with acquire semantics and parses batches up
 * to there, then, behind an acquire fence, loads @start_position: what it found in
 * a batch at or after that one was whole.  A batch never straddles two segments:
 * where fewer than 61 bytes are left in the segment, or the batch's length reads
 * 0, the next batch is at the next segment (round up to 1 << @segment_shift).
 * Batches with the control bit or without records are to be skipped, and so are
 * records before @start_offset.
 *
 * Positions before @start_position read as zeroes or as what was there.
 * Positions at or beyond @end_position are not there yet: what they read as means
 * nothing, and touching them can raise SIGBUS, as touching a file beyond its end.
 */
#define EVSTREAM_MMAP_CTL	0ULL
#define EVSTREAM_MMAP_LOG	(1ULL << 32)

/* struct evstream_ctl.flags */
#define EVSTREAM_CTL_DEAD	(1U << 0)	/* the topic was deleted */

/**
 * struct evstream_ctl - the control page
 * @version: of this layout, 1
 * @segment_shift: a segment is 1 << this
 * @flags: %EVSTREAM_CTL_DEAD
 * @partition: the partition's number
 * @pad0: 0
 * @start_offset: first record still held
 * @start_position: log position of the batch that holds @start_offset
 * @pad1: 0
 * @end_offset: one after the last record
 * @end_position: log position after the last batch; store-release by the
 *	kernel, pairs with the consumer's load-acquire
 * @pad2: 0
 *
 * The kernel stores @end_offset before @end_position and @start_position before
 * @start_offset.  The two ends lie in cache lines of their own.
 */
struct evstream_ctl {
	__u32 version;
	__u32 segment_shift;
	__u32 flags;
	__u32 partition;
	__u8 pad0[48];
	__aligned_u64 start_offset;
	__aligned_u64 start_position;
	__u8 pad1[48];
	__aligned_u64 end_offset;
	__aligned_u64 end_position;
	__u8 pad2[48];
};

#endif /* _UAPI_LINUX_EVSTREAM_H */
