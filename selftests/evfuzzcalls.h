/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The calls of which a fuzzer's programs are made: system calls on nodes, all
 * ioctls, all netlink commands. Each does what its arguments say, whatever they say.
 */
#ifndef EVFUZZCALLS_H
#define EVFUZZCALLS_H

#include <linux/evstream_netlink.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

#include "evfuzz.h"

/* What data is read from and written to, and behind it structures and arrays. */
#define FZ_DATA		(1U << 20)
#define FZ_STRUCT	FZ_DATA
#define FZ_NAME		(FZ_DATA + (32U << 10))
#define FZ_ENTRIES	(FZ_DATA + (36U << 10))
#define FZ_MEMORY	(FZ_DATA + (128U << 10))
/* Where a program's mapping is; it has one behind the other. */
#define FZ_WINDOW	(16ULL << 20)
/* No call waits for longer. */
#define FZ_PAUSE_MS	20

/**
 * struct fz_machine - what a program's calls share
 * @worker: number of the worker, for names
 * @dirs: directories for durable topics
 * @family: number of the netlink family
 * @fd: descriptors of nodes, -1
 * @socket: netlink sockets, -1
 * @epoll: one
 * @pair: sockets, for descriptors on their way
 * @windows: where mappings are
 * @map_len: bytes of each
 */
struct fz_machine {
	unsigned int worker;
	const char *dirs[2];
	int family;
	atomic_int fd[FZ_FDS];
	atomic_int socket[FZ_SOCKETS];
	int epoll;
	int pair[2];
	char *windows;
	size_t map_len[FZ_MAPS];
};

/**
 * struct fz_thread - who runs calls
 * @m: the machine
 * @good: FZ_MEMORY bytes
 * @fit: end of memory behind which there is none
 * @read_only: a page
 * @no_access: a page
 * @file: two pages of which the file has one
 * @builder: of batches
 * @fault: where to go when a mapping has nothing there
 * @armed: @fault can be gone to
 * @uring: a ring, once it was needed
 * @uring_state: 0: not made yet, 1: there, -1: there can be none
 */
struct fz_thread {
	struct fz_machine *m;
	char *good;
	char *fit;
	char *read_only;
	char *no_access;
	char *file;
	struct evs_builder *builder;
	sigjmp_buf fault;
	volatile int armed;
#ifdef HAVE_LIBURING
	struct io_uring uring;
#endif
	int uring_state;
};

static __thread struct fz_thread *fz_self;

static const char *fz_topic(const struct fz_machine *m, uint64_t n, char *buf)
{
	switch (n % FZ_TOPICS) {
	case 2: case 3:
		sprintf(buf, "fz-%u-%c", m->worker % 2, n & 1 ? 'c' : 'd');
		break;
	case 5:
		memset(buf, 'x', EVSTREAM_NAME_MAX);
		memcpy(buf, "fz", 2);
		buf[EVSTREAM_NAME_MAX] = '\0';
		break;
	case 6:
		strcpy(buf, "fz/../../x");
		break;
	case 7:
		strcpy(buf, "");
		break;
	default:
		sprintf(buf, "fz-%c", 'a' + (int)(n % FZ_TOPICS));
	}
	return buf;
}

/* 0 to 2 are of consumers, 3 and 4 queues where nothing is wrong. */
static size_t fz_group(uint64_t n, char *buf)
{
	static const char *const names[FZ_GROUPS] = {
		"g0", "g1", "g2", "q0", "q1", "", "a/b", "\033[2J", "\xff\xfe",
	};

	n = (n & 0xff) % FZ_GROUPS;
	if (!names[n]) {
		memset(buf, 'g', EVSTREAM_GROUP_NAME_MAX);
		buf[EVSTREAM_GROUP_NAME_MAX] = '\0';
	} else {
		strcpy(buf, names[n]);
	}
	return strlen(buf);
}

static const char *fz_dir(const struct fz_machine *m, uint64_t n)
{
	static const char *const others[] = {
		"/nonexistent", "/proc", "/sys/kernel", ".", "", "/",
	};

	n %= 8;
	return n == 1 || n == 2 ? m->dirs[n - 1] : others[n ? n - 3 : 0];
}

/* -------------------------------------------------------------------- memory */

static void *fz_at(struct fz_thread *t, uint64_t ptr, size_t len)
{
	uint64_t off = ptr << 8 >> 8;

	switch ((ptr >> 56) % FZ_REGIONS) {
	case FZ_GOOD:
		return t->good + off % 4096;
	case FZ_FIT:
		return t->fit - (len < FZ_MEMORY ? len : FZ_MEMORY);
	case FZ_HALF:
		return t->fit - (len < FZ_MEMORY ? len : FZ_MEMORY) / 2;
	case FZ_READ_ONLY:
		return t->read_only;
	case FZ_NO_ACCESS:
		return t->no_access;
	case FZ_DEVICE:
		return t->m->windows + FZ_WINDOW * (off % FZ_MAPS) + off / FZ_MAPS % 9000;
	case FZ_FILE:
		return t->file + 4096 - (len < 8192 ? len / 2 : 4096);
	case FZ_NULL:
		return (void *)(off % 64);
	case FZ_KERNEL:
		return (void *)(0xffff888000000000ULL + off % (1 << 30));
	default:
		return (void *)(off << 8);
	}
}

/* Stores a structure where it can be; what is not there is the call's business. */
static void *fz_put(struct fz_thread *t, uint64_t ptr, unsigned int where, const void *data,
		    size_t len)
{
	size_t half = len - len / 2;
	char *p;

	switch ((ptr >> 56) % FZ_REGIONS) {
	case FZ_GOOD:
		return memcpy(t->good + where, data, len);
	case FZ_FIT:
		return memcpy(t->fit - len, data, len);
	case FZ_HALF:
		p = t->fit - len / 2;
		memcpy(p, data, len - half);
		return p;
	default:
		return fz_at(t, ptr, len);
	}
}

static void fz_on_fault(int sig, siginfo_t *info, void *context)
{
	struct fz_thread *t = fz_self;

	(void)info;
	(void)context;
	if (!t || !t->armed) {
		signal(sig, SIG_DFL);
		return;
	}
	t->armed = 0;
	siglongjmp(t->fault, 1);
}

static long fz_touch(struct fz_thread *t, volatile char *p, size_t pages, bool store)
{
	size_t i;

	if (sigsetjmp(t->fault, 1))
		return -EFAULT;
	t->armed = 1;
	for (i = 0; i < pages; i++) {
		if (store)
			p[i * 4096] = 1;
		(void)p[i * 4096];
	}
	t->armed = 0;
	return 0;
}

static bool fz_memory_init(struct fz_thread *t, struct fz_machine *m)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	t->m = m;
	t->good = evt_guarded(FZ_MEMORY);
	t->fit = (char *)evt_guarded(FZ_MEMORY) + FZ_MEMORY;
	t->read_only = mmap(NULL, 1 << 17, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	t->no_access = mmap(NULL, 1 << 17, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	t->builder = evs_builder_new(NULL, 0);
	evt_fill(t->good, FZ_DATA, 1);
	evt_fill(t->fit - FZ_DATA, FZ_DATA, 2);
	if (fd < 0 || ftruncate(fd, 4096) || !t->builder)
		return false;
	t->file = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return t->file != MAP_FAILED;
}

/* -------------------------------------------------------------------- arrays */

static void fz_record(struct fz_thread *t, struct fz_choice *c, struct evstream_record *r)
{
	static const struct evs_header header = {
		.key = "name", .key_len = 4, .value = "value", .value_len = 5,
	};
	static const struct fz_arg len = { FZ_LEN }, ptr = { FZ_PTR }, time = { FZ_TIME };
	size_t size = evs_header_encode(t->good + FZ_NAME + 1024, 512, &header);

	r->key_len = c->wild && fz_below(c, 2) ? (int)fz_below(c, 12) : -1;
	r->key = (uintptr_t)t->good + fz_below(c, 8);
	r->value_len = (int)fz_arg_make(c, &len);
	r->value = (uintptr_t)fz_at(t, fz_arg_make(c, &ptr), r->value_len);
	r->timestamp = c->wild ? (int64_t)fz_arg_make(c, &time) - 1 : -1;
	if (c->wild && !fz_below(c, 4)) {
		r->headers = (uintptr_t)t->good + FZ_NAME + 1024;
		r->headers_len = size;
		r->headers_count = 1;
		if (!fz_below(c, 4))
			t->good[FZ_NAME + 1024 + fz_below(c, size)] = fz_wide(c);
	}
	r->partition = fz_below(c, 4);
	if (c->wild && !fz_below(c, 8))
		((uint32_t *)r)[fz_below(c, sizeof(*r) / 4)] = fz_anything(c);
}

/* A batch, or what once was one. */
static size_t fz_batch(struct fz_thread *t, struct fz_choice *c, const void **data)
{
	unsigned int n = 1 + (c->wild ? fz_below(c, 6) : 0), i;
	struct evs_record rec = { .timestamp = 1600000000000, .key_len = -1, .value_len = 50 };
	static const struct fz_arg len = { FZ_LEN };
	const void *built;
	char *copy;
	size_t size;

	evs_builder_reset(t->builder);
	if (c->wild && !fz_below(c, 3))
		evs_builder_producer(t->builder, fz_below(c, 3), fz_below(c, 2), fz_below(c, 8));
	else
		evs_builder_producer(t->builder, -1, -1, -1);
	for (i = 0; i < n; i++) {
		rec.value = t->good;
		if (c->wild) {
			rec.key = t->good;
			rec.key_len = (int)fz_below(c, 5) - 1;
			rec.value_len = fz_arg_make(c, &len) % 30000;
			rec.timestamp += fz_below(c, 5);
		}
		evs_builder_add(t->builder, &rec);
	}
	if (evs_builder_finish(t->builder, &built, &size) || size > FZ_MEMORY - FZ_ENTRIES)
		return 0;
	copy = t->good + FZ_ENTRIES;
	memcpy(copy, built, size);
	*data = copy;
	if (c->wild && fz_below(c, 2)) {
		uint32_t crc;

		for (n = 1 + fz_below(c, 3); n; n--)
			copy[fz_below(c, fz_below(c, 2) ? 70 : size)] = fz_anything(c);
		/* So that what is wrong is not found at once. */
		if (fz_below(c, 4)) {
			crc = htobe32(evs_crc32c(0, copy + 21, size - 21));
			memcpy(copy + 17, &crc, 4);
			i = htobe32(size - 12);
			memcpy(copy + 8, &i, 4);
			copy[16] = 2;
		}
	}
	return size;
}

/* @count is the number of entries, of a batch that of its bytes. */
static void *fz_array(struct fz_thread *t, uint64_t ptr, enum fz_array what, uint64_t *count)
{
	struct fz_choice c = { .rnd = ptr << 8 >> 8, .wild = ptr << 8 ? 30 : 0 };
	union {
		struct evstream_record rec[32];
		struct evstream_commit_entry commit[32];
		struct evstream_ack_entry ack[32];
		uint32_t u32[32];
	} e = {};
	static const size_t sizes[] = {
		[FZ_RECORDS] = sizeof(e.rec[0]), [FZ_COMMITS] = sizeof(e.commit[0]),
		[FZ_ACKS] = sizeof(e.ack[0]), [FZ_U32S] = sizeof(e.u32[0]),
	};
	unsigned int n = *count < 32 ? *count : 32, i;
	const void *data;
	size_t size;

	evw_random(&c.rnd);
	if (what == FZ_BATCH) {
		size = fz_batch(t, &c, &data);
		*count = (int64_t)*count ? *count : size;
		return size ? fz_put(t, ptr, FZ_ENTRIES, data, size) : NULL;
	}
	if (what == FZ_ROOM)
		return fz_at(t, ptr, *count < 4096 ? *count * 64 : FZ_DATA);
	for (i = 0; i < n; i++) {
		switch (what) {
		case FZ_RECORDS:
			fz_record(t, &c, &e.rec[i]);
			break;
		case FZ_COMMITS:
			e.commit[i].partition = c.wild ? fz_below(&c, 4) : i;
			e.commit[i].offset = c.wild ? (int)fz_below(&c, 20) - 1 : -1;
			e.commit[i].generation = c.wild ? fz_below(&c, 8) % 4 : 0;
			break;
		case FZ_ACKS:
			e.ack[i].partition = fz_below(&c, 4);
			e.ack[i].settle = fz_below(&c, 16) ? fz_below(&c, 4) : fz_anything(&c);
			e.ack[i].first = fz_below(&c, 8);
			e.ack[i].last = e.ack[i].first + fz_below(&c, 3);
			break;
		default:
			e.u32[i] = c.wild ? fz_below(&c, 5) : i;
		}
		if (c.wild && !fz_below(&c, 32))
			((uint32_t *)&e)[i * sizes[what] / 4] = fz_anything(&c);
	}
	return fz_put(t, ptr, FZ_ENTRIES, &e, n * sizes[what]);
}

/* --------------------------------------------------------------- system calls */

static int fz_fd(struct fz_thread *t, uint64_t n)
{
	return t->m->fd[n % FZ_FDS];
}

/* A new descriptor takes its place. What another thread has taken it does not close. */
static long fz_keep(struct fz_thread *t, uint64_t n, int fd)
{
	int ret = fd < 0 ? -errno : 0, old;

	if (ret)
		return ret;
	old = atomic_exchange(&t->m->fd[n % FZ_FDS], fd);
	if (old >= 0)
		close(old);
	return 0;
}

static long fz_close(struct fz_thread *t, uint64_t n)
{
	int old = atomic_exchange(&t->m->fd[n % FZ_FDS], -1);

	return EVT(close(old));
}

#define FZ_CALL(name)	static long fz_do_##name(struct fz_thread *t, const struct fz_kind *k, \
						 const uint64_t *arg)
#define FZ_NO_KIND	((void)k)

FZ_CALL(open)
{
	static const char *const nodes[] = { "any", "0", "1", "2", "3", "00" };
	char name[300], path[400];

	FZ_NO_KIND;
	snprintf(path, sizeof(path), "/dev/stream/%s/%s", fz_topic(t->m, arg[1], name),
		 nodes[arg[2] % 6]);
	return fz_keep(t, arg[0], open(path, arg[3] & 0x7fffff & ~(O_TMPFILE | O_CREAT)));
}

FZ_CALL(reopen)
{
	char path[64];

	FZ_NO_KIND;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fz_fd(t, arg[0]));
	return fz_keep(t, arg[1], open(path, arg[2] & 0x7fffff & ~(O_TMPFILE | O_CREAT)));
}

FZ_CALL(dup)
{
	FZ_NO_KIND;
	return fz_keep(t, arg[1], dup(fz_fd(t, arg[0])));
}

FZ_CALL(close)
{
	FZ_NO_KIND;
	return fz_close(t, arg[0]);
}

/* nr: 0 read, 1 write, 2 pread, 3 pwrite */
FZ_CALL(rw)
{
	size_t len = arg[2];
	void *p = fz_at(t, arg[1], len);
	int fd = fz_fd(t, arg[0]);

	switch (k->nr) {
	case 0:
		return EVT(read(fd, p, len));
	case 1:
		return EVT(write(fd, p, len));
	case 2:
		return EVT(pread(fd, p, len, arg[3]));
	default:
		return EVT(pwrite(fd, p, len, arg[3]));
	}
}

/* nr: 0 preadv2, 1 pwritev2 */
FZ_CALL(rwv)
{
	unsigned int n = arg[3] <= 1030 ? arg[3] : 3, i;
	struct iovec iov[1030];

	for (i = 0; i < n; i++) {
		iov[i].iov_len = i && i == n - 1 ? arg[2] : arg[2] / n;
		iov[i].iov_base = fz_at(t, i == n / 2 ? arg[1] : 0, iov[i].iov_len);
	}
	if (k->nr)
		return EVT(syscall(SYS_pwritev2, fz_fd(t, arg[0]), iov, n, arg[4], 0, arg[5]));
	return EVT(syscall(SYS_preadv2, fz_fd(t, arg[0]), iov, n, arg[4], 0, arg[5]));
}

FZ_CALL(lseek)
{
	FZ_NO_KIND;
	return EVT(lseek(fz_fd(t, arg[0]), arg[1], arg[2]));
}

FZ_CALL(poll)
{
	struct pollfd p = { .fd = fz_fd(t, arg[0]), .events = arg[1] };

	FZ_NO_KIND;
	if (poll(&p, 1, arg[2] % FZ_PAUSE_MS) < 0)
		return -errno;
	return p.revents & POLLNVAL ? -EBADF : 0;
}

FZ_CALL(epoll)
{
	static const int ops[] = { EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL };
	struct epoll_event e = { .events = arg[2] & (EPOLLET | EPOLLONESHOT | 0xffff) };

	FZ_NO_KIND;
	return EVT(epoll_ctl(t->m->epoll, ops[arg[1] % 3], fz_fd(t, arg[0]), &e));
}

FZ_CALL(epoll_wait)
{
	struct epoll_event e[4];

	FZ_NO_KIND;
	return EVT(epoll_wait(t->m->epoll, e, 4, arg[0] % FZ_PAUSE_MS));
}

static long fz_read_proc(const char *what, int fd)
{
	char path[64], buf[2000];
	long ret;
	int in;

	snprintf(path, sizeof(path), "/proc/self/%s", what);
	if (fd >= 0)
		snprintf(path, sizeof(path), "/proc/self/%s/%d", what, fd);
	in = open(path, O_RDONLY);
	if (in < 0)
		return -errno;
	while ((ret = EVT(read(in, buf, sizeof(buf)))) > 0)
		;
	close(in);
	return ret;
}

FZ_CALL(misc)
{
	int fd = fz_fd(t, arg[0]);
	uint64_t off = arg[2], len = arg[3];
	struct flock lock = { .l_type = F_RDLCK, .l_start = off, .l_len = len };
	struct stat st;

	FZ_NO_KIND;
	switch (arg[1] % 22) {
	case 0:
		return fz_read_proc("fdinfo", fd);
	case 1:
		return EVT(fsync(fd));
	case 2:
		return EVT(fdatasync(fd));
	case 3:
		return EVT(sync_file_range(fd, off, len, 7));
	case 4:
		return EVT(fallocate(fd, off & 3, off, len));
	case 5:
		return EVT(ftruncate(fd, len));
	case 6:
		return EVT(posix_fadvise(fd, off, len, off % 6));
	case 7:
		return EVT(readahead(fd, off, len));
	case 8:
		return EVT(flock(fd, LOCK_EX | LOCK_NB));
	case 9:
		return EVT(fcntl(fd, F_SETLK, &lock));
	case 10:
		return EVT(fcntl(fd, F_SETLEASE, off & 1 ? F_RDLCK : F_UNLCK));
	case 11:
		return EVT(fcntl(fd, F_SETOWN, getpid()));
	case 12:
		return EVT(fcntl(fd, F_SETSIG, 0));
	case 13:
		return EVT(fcntl(fd, F_SETFL, O_NONBLOCK | (off & (O_APPEND | O_ASYNC | O_DIRECT |
								      O_NOATIME))));
	case 14:
		return EVT(fstat(fd, &st));
	case 15:
		return EVT(fgetxattr(fd, "user.x", t->good, 100));
	case 16:
		return EVT(futimens(fd, NULL));
	case 17:
		return fz_read_proc("smaps", -1);
	case 18:
		return EVT(ioctl(fd, FIONBIO, &len));
	case 19:
		return EVT(ioctl(fd, FIOASYNC, &len));
	case 20:
		return EVT(ioctl(fd, FIONREAD, &len));
	default:
		return EVT(fchmod(fd, 0666));
	}
}

/* nr: 0 splice from it, 1 splice to it, 2 sendfile from it, 3 to it, 4 copy */
FZ_CALL(splice)
{
	int fd = fz_fd(t, arg[0]), pipes[2], file;
	size_t len = arg[1] % FZ_DATA;
	loff_t off = arg[2];
	long ret;

	if (pipe2(pipes, O_NONBLOCK | O_CLOEXEC))
		return -errno;
	file = memfd_create("fuzz", MFD_CLOEXEC);
	switch (k->nr) {
	case 0:
		ret = EVT(splice(fd, arg[3] & 16 ? &off : NULL, pipes[1], NULL, len,
				 SPLICE_F_NONBLOCK | (arg[3] & 15)));
		break;
	case 1:
		ret = EVT(write(pipes[1], t->good, len));
		ret = EVT(splice(pipes[0], NULL, fd, arg[3] & 16 ? &off : NULL, len,
				 SPLICE_F_NONBLOCK | (arg[3] & 15)));
		break;
	case 2:
		ret = EVT(sendfile(file, fd, arg[3] & 16 ? &off : NULL, len));
		break;
	case 3:
		ret = EVT(pwrite(file, t->good, len, 0));
		ret = EVT(sendfile(fd, file, NULL, len));
		break;
	default:
		ret = EVT(copy_file_range(fd, NULL, fz_fd(t, off), NULL, len, 0));
	}
	close(file);
	close(pipes[0]);
	close(pipes[1]);
	return ret;
}

/* nr: 0 send it away, 1 get what is on its way */
FZ_CALL(pass)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {};
	struct iovec iov = { t->good, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	long ret;
	int fd;

	if (k->nr) {
		ret = EVT(recvmsg(t->m->pair[1], &msg, MSG_DONTWAIT));
		c = ret < 0 ? NULL : CMSG_FIRSTHDR(&msg);
		if (!c)
			return ret < 0 ? ret : -ENOENT;
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		return fz_keep(t, arg[0], fd);
	}
	c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	fd = fz_fd(t, arg[0]);
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	ret = EVT(sendmsg(t->m->pair[0], &msg, MSG_DONTWAIT));
	if (ret > 0 && arg[1] & 1)
		fz_close(t, arg[0]);
	return ret;
}

static char *fz_window(struct fz_thread *t, uint64_t n)
{
	return t->m->windows + n % FZ_MAPS * FZ_WINDOW;
}

FZ_CALL(mmap)
{
	static const int flags[] = {
		MAP_SHARED, MAP_SHARED | MAP_POPULATE, MAP_PRIVATE, MAP_SHARED_VALIDATE,
		MAP_SHARED | MAP_LOCKED, MAP_SHARED | MAP_HUGETLB, MAP_SHARED | MAP_NORESERVE,
		MAP_SHARED_VALIDATE | MAP_SYNC,
	};
	static const int prots[] = {
		PROT_READ, PROT_READ, PROT_READ, PROT_READ, PROT_NONE, PROT_READ | PROT_WRITE,
		PROT_WRITE, PROT_READ | PROT_EXEC,
	};
	char *want = fz_window(t, arg[1]), *p;

	FZ_NO_KIND;
	if (arg[3] > FZ_WINDOW) {
		/* Of any size, but it does not last. */
		p = mmap(NULL, arg[3], prots[arg[4] % 8], MAP_SHARED, fz_fd(t, arg[0]), arg[2]);
		if (p == MAP_FAILED)
			return -errno;
		fz_touch(t, p, 1, false);
		return EVT(munmap(p, arg[3]));
	}
	p = mmap(want, arg[3], prots[arg[4] % 8], MAP_FIXED | flags[arg[5] % 8], fz_fd(t, arg[0]),
		 arg[2]);
	if (p == MAP_FAILED)
		return -errno;
	t->m->map_len[arg[1] % FZ_MAPS] = arg[3];
	return 0;
}

/* nr: what; of a part of a mapping */
FZ_CALL(part)
{
	static const int advice[] = {
		MADV_NORMAL, MADV_WILLNEED, MADV_DONTNEED, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK,
		MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_FREE,
		MADV_HUGEPAGE, MADV_WIPEONFORK, MADV_MERGEABLE, MADV_DONTDUMP, 25 /* COLLAPSE */,
	};
	static const int prots[] = {
		PROT_READ, PROT_NONE, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC,
	};
	size_t off = arg[1] % 64 * 4096, len = arg[2] % FZ_WINDOW;
	char *p = fz_window(t, arg[0]) + off;
	struct iovec from = { p, len }, to = { t->good, len % FZ_DATA };
	unsigned char pages[FZ_WINDOW / 4096];

	if (off + len > FZ_WINDOW)
		len = FZ_WINDOW - off;
	switch (k->nr) {
	case 0:
		/* The place stays taken: no one else's memory may come there. */
		return mmap(p, len, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		       MAP_FAILED ? -errno : 0;
	case 1:
		return EVT(madvise(p, len, advice[arg[3] % 16]));
	case 2:
		return EVT(mprotect(p, len, prots[arg[3] % 4]));
	case 3:
		return EVT(msync(p, len, 1 << arg[3] % 3));
	case 4:
		return EVT(arg[3] & 1 ? mlock(p, len) : munlock(p, len));
	case 5:
		return EVT(mincore(p, len, pages));
	case 6:
		return fz_touch(t, p, len / 4096 % 64 ?: 1, arg[3] % 8 == 7);
	case 7:
		return EVT(process_vm_readv(getpid(), &to, 1, &from, 1, 0));
	default:
		/* Within its window, or to that of another mapping. */
		if (arg[3] & 1)
			p = mremap(p, len, arg[3] >> 8 & 0xff000, MREMAP_MAYMOVE | MREMAP_FIXED,
				   fz_window(t, arg[3] >> 4));
		else
			p = mremap(p, len, len + (arg[3] >> 8 & 0xff000) %
						 (FZ_WINDOW - off - len + 1), 0);
		return p == MAP_FAILED ? -errno : 0;
	}
}

/* Where they come often, a fork would begin anew for ever. */
static void fz_signals(bool allowed)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(allowed ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

/* A child with all of it, that looks at it and ends, or is killed. */
FZ_CALL(fork)
{
	char buf[256];
	int i;
	pid_t pid;

	FZ_NO_KIND;
	fz_signals(false);
	pid = fork();
	fz_signals(true);
	if (pid < 0)
		return -errno;
	if (!pid) {
		for (i = 0; i < FZ_MAPS && arg[0] & 1; i++)
			fz_touch(t, fz_window(t, i), 2, false);
		for (i = 0; i < FZ_FDS; i++) {
			int fd = t->m->fd[i];

			if (arg[0] >> 8 >> i & 1)
				read(fd, buf, sizeof(buf));
			if (arg[0] >> 16 >> i & 1)
				write(fd, buf, 10);
			if (arg[0] >> 24 >> i & 1)
				close(fd);
			if (arg[0] >> 32 >> i & 1)
				ioctl(fd, EVSTREAM_IOC_LEAVE);
		}
		_exit(0);
	}
	if (arg[0] & 2) {
		usleep(arg[0] >> 40 & 0x7ff);
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		kill(pid, SIGKILL);
	return 0;
}

FZ_CALL(uring)
{
#ifdef HAVE_LIBURING
	struct __kernel_timespec time = { .tv_nsec = FZ_PAUSE_MS * 1000000 };
	size_t len = arg[3] % FZ_DATA;
	void *p = fz_at(t, arg[2], len);
	int fd = fz_fd(t, arg[0]);
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	long ret;

	FZ_NO_KIND;
	if (!t->uring_state)
		t->uring_state = io_uring_queue_init(8, &t->uring, 0) ? -1 : 1;
	if (t->uring_state < 0)
		return FZ_MISSING;
	sqe = io_uring_get_sqe(&t->uring);
	if (!sqe) {
		io_uring_submit(&t->uring);
		return -EAGAIN;
	}
	switch (arg[1] % 8) {
	case 0:
		io_uring_prep_write(sqe, fd, p, len, arg[4]);
		break;
	case 1:
		io_uring_prep_read(sqe, fd, p, len, arg[4]);
		break;
	case 2:
		io_uring_prep_fsync(sqe, fd, 0);
		break;
	case 3:
		io_uring_prep_poll_add(sqe, fd, arg[4] & 0xffff);
		break;
	case 4:
		io_uring_prep_close(sqe, atomic_exchange(&t->m->fd[arg[0] % FZ_FDS], -1));
		break;
	case 5:
		io_uring_prep_cancel(sqe, NULL, 0);
		break;
	case 6:
		io_uring_prep_splice(sqe, fd, -1, fz_fd(t, arg[4]), -1, len, 0);
		break;
	default:
		io_uring_prep_fadvise(sqe, fd, 0, len, arg[4] % 6);
	}
	if (arg[5] & 1)
		io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
	if (arg[5] & 2)
		io_uring_sqe_set_flags(sqe, IOSQE_IO_LINK);
	io_uring_sqe_set_data(sqe, NULL);
	ret = io_uring_submit_and_wait_timeout(&t->uring, &cqe, 1, &time, NULL);
	if (ret < 0 || !cqe)
		return ret < 0 ? ret : -ETIME;
	ret = cqe->res;
	io_uring_cqe_seen(&t->uring, cqe);
	return ret;
#else
	(void)t;
	(void)k;
	(void)arg;
	return FZ_MISSING;
#endif
}

/* -------------------------------------------------------------------- ioctls */

/* What is damaged, is so in a few places. */
static void fz_damage(uint64_t seed, void *data, size_t len)
{
	struct fz_choice c = { .rnd = seed };
	unsigned int n;

	if (!seed || len < 4)
		return;
	evw_random(&c.rnd);
	for (n = 1 + fz_below(&c, 3); n; n--)
		((uint32_t *)data)[fz_below(&c, len / 4)] = fz_anything(&c);
}

/* arg: descriptor, what its size is off by, where it is, damage, members */
FZ_CALL(ioctl)
{
	size_t size = (k->size + arg[1]) & _IOC_SIZEMASK, left = 0;
	unsigned int dir = size ? _IOC_READ | _IOC_WRITE : _IOC_NONE;
	char s[1 << _IOC_SIZEBITS] = {}, name[300];
	unsigned int i;
	void *p;

	for (i = 4; k->args[i].type != FZ_END; i++) {
		const struct fz_arg *a = &k->args[i];
		uint64_t value = arg[i], count = arg[i + 1];

		switch (a->type) {
		case FZ_GROUP:
			left = fz_group(value, name);
			value = (uintptr_t)fz_put(t, value, FZ_NAME, name, left);
			break;
		case FZ_OWN_LEN:
			value = value ?: left;
			break;
		case FZ_ARRAY:
			value = (uintptr_t)fz_array(t, value, a->param, &count);
			if (a->param == FZ_BATCH)
				left = count;
			break;
		case FZ_PTR:
			value = (uintptr_t)fz_at(t, value, count);
			break;
		case FZ_LETTER:
			if (value < FZ_FDS)
				value = fz_fd(t, value);
			break;
		case FZ_MS:
			/* Those that are for ever are interrupted. */
			if ((int32_t)value > FZ_PAUSE_MS && k->nr != 9)
				value = FZ_PAUSE_MS;
			break;
		}
		memcpy(s + a->at, &value, a->size);
	}
	fz_damage(arg[3], s, size < 200 ? size : 200);
	p = fz_put(t, arg[2], FZ_STRUCT, s, size);
	return EVT(ioctl(fz_fd(t, arg[0]), _IOC(dir, EVSTREAM_IOC_MAGIC, k->nr, size), p));
}

FZ_CALL(framing)
{
	struct evstream_set_framing s = { .framing = arg[1], .reserved = arg[2] };

	FZ_NO_KIND;
	return EVT(ioctl(fz_fd(t, arg[0]), EVSTREAM_IOC_SET_FRAMING, &s));
}

FZ_CALL(any_ioctl)
{
	char s[256] = {};

	FZ_NO_KIND;
	fz_damage(arg[3], s, sizeof(s));
	return EVT(ioctl(fz_fd(t, arg[0]), (uint32_t)arg[1],
			 fz_put(t, arg[2], FZ_STRUCT, s, sizeof(s))));
}

/* ------------------------------------------------------------------- netlink */

static int fz_socket(struct fz_thread *t, uint64_t n)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	int one = 1, fd, old = -1;

	n %= FZ_SOCKETS;
	fd = t->m->socket[n];
	if (fd >= 0)
		return fd;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (fd < 0)
		return fd;
	bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	if (n)
		setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	if (!atomic_compare_exchange_strong(&t->m->socket[n], &old, fd)) {
		close(fd);
		return old;
	}
	return fd;
}

/* The answer to @seq: what went wrong. */
static long fz_answer(int fd, uint32_t seq, unsigned int times,
		      void (*fn)(struct nlattr *, size_t, void *), void *data)
{
	static __thread char buf[32768];

	while (times--) {
		struct nlmsghdr *h = (void *)buf;
		long n = EVT(recv(fd, buf, sizeof(buf), MSG_DONTWAIT));

		if (n < 0)
			return n == -EAGAIN ? 0 : n;
		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_seq != seq)
				continue;
			if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE)
				return *(int *)NLMSG_DATA(h);
			if (fn)
				fn((void *)((char *)NLMSG_DATA(h) + GENL_HDRLEN),
				   NLMSG_PAYLOAD(h, GENL_HDRLEN), data);
		}
	}
	return 0;
}

static char *fz_nla(char *at, uint16_t type, const void *data, size_t len)
{
	struct nlattr a = { .nla_type = type, .nla_len = NLA_HDRLEN + len };

	memcpy(at, &a, sizeof(a));
	memset(at + NLA_HDRLEN, 0, NLA_ALIGN(len));
	memcpy(at + NLA_HDRLEN, data, len);
	return at + NLA_HDRLEN + NLA_ALIGN(len);
}

static uint32_t fz_seq(void)
{
	static atomic_uint seq;

	return ++seq;
}

/* Memory is limited: sizes that are fine, but for a machine that has more. */
static uint64_t fz_moderate(const struct fz_arg *a, uint64_t value)
{
	if (a->type == FZ_RING && value > 4 << 20 && value < 1ULL << 60)
		return 4 << 20;
	if (a->type == FZ_COUNT && a->at == EVSTREAM_A_TOPIC_PARTITIONS && value > 8 &&
	    value <= EVSTREAM_PARTITIONS_MAX)
		return 8;
	return value;
}

/* A message that is not what it says. */
static size_t fz_damage_message(uint64_t seed, struct nlmsghdr *h, char **attr, unsigned int nr)
{
	struct fz_choice c = { .rnd = seed };
	struct nlattr *a = nr ? (void *)attr[seed % nr] : NULL;
	struct genlmsghdr *g = NLMSG_DATA(h);
	char *begin = (void *)h, *end = begin + h->nlmsg_len;
	size_t len;

	evw_random(&c.rnd);
	switch (fz_below(&c, 16)) {
	case 0:
		if (!a)
			break;
		len = NLA_ALIGN(a->nla_len);
		memcpy(end, a, len);
		h->nlmsg_len += len;
		break;
	case 1:
		return fz_below(&c, h->nlmsg_len + 1);
	case 2:
		h->nlmsg_len -= fz_below(&c, h->nlmsg_len - NLMSG_HDRLEN + 1);
		break;
	case 3:
		if (a)
			a->nla_len -= 1 + fz_below(&c, 4);
		break;
	case 4:
		if (a)
			a->nla_len += 1 + fz_below(&c, 64);
		break;
	case 5:
		if (a)
			a->nla_len = fz_anything(&c);
		break;
	case 6:
		if (a)
			a->nla_type |= fz_below(&c, 2) ? NLA_F_NESTED : NLA_F_NET_BYTEORDER;
		break;
	case 7:
		if (a)
			a->nla_type = fz_below(&c, 40);
		break;
	case 8:
		h->nlmsg_len = fz_nla(end, fz_below(&c, 30), &seed, fz_below(&c, 9)) - begin;
		break;
	case 9:
		if (a)
			h->nlmsg_len = fz_nla(end, NLA_F_NESTED | fz_below(&c, 30), a,
					      a->nla_len < 512 ? a->nla_len : 4) - begin;
		break;
	case 10:
		g->version = fz_anything(&c);
		break;
	case 11:
		g->reserved = fz_anything(&c);
		break;
	case 12:
		h->nlmsg_flags = fz_anything(&c) | NLM_F_REQUEST;
		break;
	case 13:
		/* Other attributes than the command's. */
		g->cmd = fz_below(&c, EVSTREAM_CMD_MAX + 3);
		break;
	case 14:
		if (!a || a->nla_len <= NLA_HDRLEN)
			break;
		len = NLA_HDRLEN + fz_below(&c, a->nla_len - NLA_HDRLEN);
		((char *)a)[len] = fz_anything(&c);
		break;
	default:
		h->nlmsg_flags &= ~NLM_F_ACK;
	}
	return h->nlmsg_len;
}

/* arg: socket, how often to receive, damage, attributes */
FZ_CALL(netlink)
{
	static __thread char buf[8192];
	struct nlmsghdr *h = (void *)buf;
	struct genlmsghdr *g = NLMSG_DATA(h);
	char *at = buf + NLMSG_HDRLEN + GENL_HDRLEN, *attr[FZ_ARGS];
	int fd = fz_socket(t, arg[0]);
	unsigned int i, nr = 0;
	char name[300];
	size_t len;
	long ret;

	memset(buf, 0, NLMSG_HDRLEN + GENL_HDRLEN);
	for (i = 3; k->args[i].type != FZ_END; i++) {
		const struct fz_arg *a = &k->args[i];
		uint64_t value = fz_moderate(a, arg[i]);
		const void *data = &value;

		if (arg[i] == FZ_ABSENT)
			continue;
		len = a->size == 8 && value <= 0xffffffff ? 4 : a->size;
		if (!len) {
			if (a->type == FZ_TOPIC)
				fz_topic(t->m, value, name);
			else if (a->type == FZ_GROUP)
				fz_group(value, name);
			else
				snprintf(name, sizeof(name), "%s", fz_dir(t->m, value));
			data = name;
			len = strlen(name) + 1;
		}
		attr[nr++] = at;
		at = fz_nla(at, a->at, data, len);
	}
	*g = (struct genlmsghdr){ .cmd = k->nr, .version = EVSTREAM_FAMILY_VERSION };
	*h = (struct nlmsghdr){ .nlmsg_len = at - buf, .nlmsg_type = t->m->family,
				.nlmsg_seq = fz_seq(),
				.nlmsg_flags = NLM_F_REQUEST | (k->size ? NLM_F_DUMP : NLM_F_ACK) };
	len = arg[2] ? fz_damage_message(arg[2], h, attr, nr) : h->nlmsg_len;
	ret = EVT(send(fd, buf, len, MSG_DONTWAIT));
	if (ret < 0)
		return ret;
	return fz_answer(fd, h->nlmsg_seq, k->size ? arg[1] % 64 : 16, NULL, NULL);
}

FZ_CALL(nl_group)
{
	/* They follow the family's other numbers; most are others'. */
	int group = arg[1] % 32;

	FZ_NO_KIND;
	return EVT(setsockopt(fz_socket(t, arg[0]), SOL_NETLINK,
			      arg[2] & 1 ? NETLINK_DROP_MEMBERSHIP : NETLINK_ADD_MEMBERSHIP,
			      &group, sizeof(group)));
}

FZ_CALL(nl_recv)
{
	unsigned int n = arg[1] % 16;
	long ret = -EAGAIN;

	FZ_NO_KIND;
	while (n--)
		ret = EVT(recv(fz_socket(t, arg[0]), t->good, 4096, MSG_DONTWAIT));
	return ret;
}

FZ_CALL(nl_close)
{
	int fd = atomic_exchange(&t->m->socket[arg[0] % FZ_SOCKETS], -1);

	FZ_NO_KIND;
	return fd < 0 ? -EBADF : EVT(close(fd));
}

/* --------------------------------------------------------------- what there is */

#define FZ_PARAM(...)	((const struct fz_arg[]){ __VA_ARGS__, { FZ_END } })

/* A structure's member of 4 bytes, and of 8. */
#define FZ_M(s, m, type, ...)	{ type, offsetof(struct evstream_##s, m), 4, false, __VA_ARGS__ }
#define FZ_W(s, m, type, ...)	{ type, offsetof(struct evstream_##s, m), 8, false, __VA_ARGS__ }
#define FZ_IOCTL(name, s, more, ...)								\
	{ #name, fz_do_ioctl, _IOC_NR(EVSTREAM_IOC_##name), sizeof(struct evstream_##s), more,	\
	  FZ_PARAM({ FZ_FD }, { FZ_RARE }, { FZ_PTR }, { FZ_RARE }, __VA_ARGS__) }

/* Attributes: one that must be there, and others. */
#define FZ_A(a, size, type, ...)	{ type, EVSTREAM_A_##a, size, false, __VA_ARGS__ }
#define FZ_O(a, size, type, ...)	{ type, EVSTREAM_A_##a, size, true, __VA_ARGS__ }
#define FZ_NETLINK(name, cmd, dump, more, ...)							\
	{ name, fz_do_netlink, EVSTREAM_CMD_##cmd, dump, more,					\
	  FZ_PARAM({ FZ_SOCKET }, { FZ_COUNT }, { FZ_RARE }, __VA_ARGS__) }

const struct fz_kind fz_kinds[] = {
	{ "open", fz_do_open, 0, 0, FZ_NEEDS_TOPIC,
	  FZ_PARAM({ FZ_FD }, { FZ_TOPIC }, { FZ_NODE }, { FZ_OFLAGS }) },
	{ "reopen", fz_do_reopen, 0, 0, FZ_NEEDS_FD,
	  FZ_PARAM({ FZ_FD }, { FZ_FD }, { FZ_OFLAGS }) },
	{ "dup", fz_do_dup, 0, 0, FZ_NEEDS_FD | FZ_OUTSIDE, FZ_PARAM({ FZ_FD }, { FZ_FD }) },
	{ "close", fz_do_close, 0, 0, FZ_NEEDS_FD, FZ_PARAM({ FZ_FD }) },
	{ "read", fz_do_rw, 0, 0, FZ_NEEDS_RECORDS, FZ_PARAM({ FZ_FD }, { FZ_PTR }, { FZ_LEN }) },
	{ "write", fz_do_rw, 1, 0, FZ_NEEDS_FD, FZ_PARAM({ FZ_FD }, { FZ_PTR }, { FZ_LEN }) },
	{ "pread", fz_do_rw, 2, 0, FZ_NEEDS_RECORDS | FZ_NEEDS_PARTITION,
	  FZ_PARAM({ FZ_FD }, { FZ_PTR }, { FZ_LEN }, { FZ_OFFSET }) },
	{ "pwrite", fz_do_rw, 3, 0, FZ_NEEDS_PARTITION,
	  FZ_PARAM({ FZ_FD }, { FZ_PTR }, { FZ_LEN }, { FZ_OFFSET }) },
	{ "preadv2", fz_do_rwv, 0, 0, FZ_NEEDS_RECORDS | FZ_NEEDS_PARTITION,
	  FZ_PARAM({ FZ_FD }, { FZ_PTR }, { FZ_LEN }, { FZ_COUNT }, { FZ_OFFSET },
		   { FZ_FLAGS, .param = 0x7f }) },
	{ "pwritev2", fz_do_rwv, 1, 0, FZ_NEEDS_PARTITION,
	  FZ_PARAM({ FZ_FD }, { FZ_PTR }, { FZ_LEN }, { FZ_COUNT }, { FZ_OFFSET },
		   { FZ_FLAGS, .param = 0x7f }) },
	{ "lseek", fz_do_lseek, 0, 0, FZ_NEEDS_PARTITION,
	  FZ_PARAM({ FZ_FD }, { FZ_OFFSET }, { FZ_ENUM, .param = 6 }) },
	{ "poll", fz_do_poll, 0, 0, FZ_NEEDS_FD,
	  FZ_PARAM({ FZ_FD }, { FZ_FLAGS, .param = 0xffff }, { FZ_MS }) },
	{ "epoll", fz_do_epoll, 0, 0, FZ_NEEDS_FD,
	  FZ_PARAM({ FZ_FD }, { FZ_ENUM, .param = 3 }, { FZ_FLAGS, .param = -1ULL }) },
	{ "epoll_wait", fz_do_epoll_wait, 0, 0, FZ_OUTSIDE, FZ_PARAM({ FZ_MS }) },
	{ "misc", fz_do_misc, 0, 0, FZ_NEEDS_FD,
	  FZ_PARAM({ FZ_FD }, { FZ_ENUM, .param = 22 }, { FZ_OFFSET }, { FZ_LEN }) },
	{ "splice_from", fz_do_splice, 0, 0, FZ_NEEDS_RECORDS | FZ_NEEDS_PARTITION,
	  FZ_PARAM({ FZ_FD }, { FZ_LEN }, { FZ_OFFSET }, { FZ_FLAGS, .param = 31 }) },
	{ "splice_to", fz_do_splice, 1, 0, FZ_NEEDS_FD,
	  FZ_PARAM({ FZ_FD }, { FZ_LEN }, { FZ_OFFSET }, { FZ_FLAGS, .param = 31 }) },
	{ "sendfile_from", fz_do_splice, 2, 0, FZ_NEEDS_RECORDS | FZ_NEEDS_PARTITION,
	  FZ_PARAM({ FZ_FD }, { FZ_LEN }, { FZ_OFFSET }, { FZ_FLAGS, .param = 31 }) },
	{ "sendfile_to", fz_do_splice, 3, 0, FZ_NEEDS_FD,
	  FZ_PARAM({ FZ_FD }, { FZ_LEN }, { FZ_OFFSET }, { FZ_FLAGS, .param = 31 }) },
	{ "send_fd", fz_do_pass, 0, 0, FZ_NEEDS_FD | FZ_OUTSIDE, FZ_PARAM({ FZ_FD }, { FZ_RARE }) },
	{ "recv_fd", fz_do_pass, 1, 0, FZ_NEEDS_SENT | FZ_OUTSIDE, FZ_PARAM({ FZ_FD }) },
	{ "mmap", fz_do_mmap, 0, 0, FZ_NEEDS_RECORDS | FZ_NEEDS_PARTITION,
	  FZ_PARAM({ FZ_FD }, { FZ_MAP }, { FZ_MOFFSET }, { FZ_MLEN }, { FZ_ENUM, .param = 8 },
		   { FZ_ENUM, .param = 8 }) },
#define FZ_PART	FZ_PARAM({ FZ_MAP }, { FZ_RARE }, { FZ_MLEN }, { FZ_ENUM, .param = 1 << 30 })
	{ "munmap", fz_do_part, 0, 0, FZ_NEEDS_MAP | FZ_OUTSIDE, FZ_PART },
	{ "madvise", fz_do_part, 1, 0, FZ_NEEDS_MAP | FZ_OUTSIDE, FZ_PART },
	{ "mprotect", fz_do_part, 2, 0, FZ_NEEDS_MAP | FZ_OUTSIDE, FZ_PART },
	{ "msync", fz_do_part, 3, 0, FZ_NEEDS_MAP | FZ_OUTSIDE, FZ_PART },
	{ "mlock", fz_do_part, 4, 0, FZ_NEEDS_MAP | FZ_OUTSIDE, FZ_PART },
	{ "mincore", fz_do_part, 5, 0, FZ_NEEDS_MAP | FZ_OUTSIDE, FZ_PART },
	{ "touch", fz_do_part, 6, 0, FZ_NEEDS_MAP, FZ_PART },
	{ "vm_readv", fz_do_part, 7, 0, FZ_NEEDS_MAP | FZ_OUTSIDE, FZ_PART },
	{ "mremap", fz_do_part, 8, 0, FZ_NEEDS_MAP | FZ_OUTSIDE, FZ_PART },
	{ "fork", fz_do_fork, 0, 0, FZ_NEEDS_FD | FZ_OUTSIDE, FZ_PARAM({ FZ_SEED }) },
	{ "uring", fz_do_uring, 0, 0, FZ_NEEDS_PARTITION,
	  FZ_PARAM({ FZ_FD }, { FZ_ENUM, .param = 8 }, { FZ_PTR }, { FZ_LEN }, { FZ_OFFSET },
		   { FZ_FLAGS, .param = 3 }) },

	FZ_IOCTL(APPEND, append, FZ_NEEDS_FD,
		 FZ_W(append, records, FZ_ARRAY, FZ_RECORDS), FZ_M(append, nr_records, FZ_COUNT),
		 FZ_M(append, record_size, FZ_FIX, sizeof(struct evstream_record)),
		 FZ_M(append, flags, FZ_RARE)),
	FZ_IOCTL(APPEND_BATCH, append_batch, FZ_NEEDS_FD,
		 FZ_W(append_batch, batch, FZ_ARRAY, FZ_BATCH), FZ_M(append_batch, len, FZ_OWN_LEN),
		 FZ_M(append_batch, partition, FZ_PARTITION), FZ_M(append_batch, flags, FZ_RARE),
		 FZ_M(append_batch, reserved, FZ_RARE)),
	FZ_IOCTL(FETCH, fetch, FZ_NEEDS_RECORDS,
		 FZ_W(fetch, buf, FZ_PTR), FZ_M(fetch, len, FZ_FIX, 65536),
		 FZ_M(fetch, min_bytes, FZ_ENUM, 300), FZ_M(fetch, timeout_ms, FZ_MS),
		 FZ_M(fetch, partition, FZ_PARTITION), FZ_M(fetch, flags, FZ_RARE),
		 FZ_W(fetch, offset, FZ_OFFSET, -1)),
	FZ_IOCTL(SEEK, seek, FZ_NEEDS_FD,
		 FZ_M(seek, whence, FZ_ENUM, 5), FZ_M(seek, partition, FZ_PARTITION),
		 FZ_W(seek, value, FZ_OFFSET)),
	FZ_IOCTL(STAT, stat, FZ_NEEDS_FD, FZ_M(stat, partition, FZ_PARTITION)),
	{ "SET_FRAMING", fz_do_framing, 0, 0, FZ_NEEDS_FD,
	  FZ_PARAM({ FZ_FD }, { FZ_ENUM, .param = 2 }, { FZ_RARE }) },
	FZ_IOCTL(GAP, gap, FZ_NEEDS_FD, FZ_M(gap, partition, FZ_PARTITION),
		 FZ_M(gap, reserved, FZ_RARE)),
	FZ_IOCTL(TRIM, trim, FZ_NEEDS_RECORDS,
		 FZ_M(trim, partition, FZ_PARTITION), FZ_M(trim, flags, FZ_RARE),
		 FZ_W(trim, offset, FZ_OFFSET, -1)),
	FZ_IOCTL(JOIN, join, FZ_NEEDS_FD,
		 FZ_W(join, name, FZ_GROUP), FZ_M(join, name_len, FZ_OWN_LEN),
		 FZ_W(join, partitions, FZ_ARRAY, FZ_U32S), FZ_M(join, nr_partitions, FZ_RARE),
		 FZ_M(join, flags, FZ_FLAGS, 0x3f), FZ_M(join, start, FZ_FIX, 1),
		 FZ_W(join, value, FZ_RARE), FZ_M(join, rebalance_ms, FZ_MS),
		 FZ_M(join, max_poll_ms, FZ_RARE), FZ_M(join, lock_ms, FZ_MS),
		 FZ_M(join, max_deliveries, FZ_RARE), FZ_M(join, dead_letter, FZ_LETTER),
		 FZ_M(join, reserved, FZ_RARE)),
	{ "LEAVE", fz_do_ioctl, 10, 0, FZ_NEEDS_MEMBER,
	  FZ_PARAM({ FZ_FD }, { FZ_RARE }, { FZ_PTR }, { FZ_RARE }) },
	FZ_IOCTL(COMMIT, commit, FZ_NEEDS_MEMBER,
		 FZ_W(commit, entries, FZ_ARRAY, FZ_COMMITS), FZ_M(commit, nr_entries, FZ_COUNT),
		 FZ_M(commit, entry_size, FZ_FIX, sizeof(struct evstream_commit_entry)),
		 FZ_M(commit, flags, FZ_FLAGS, 1)),
	FZ_IOCTL(POSITION, position, FZ_NEEDS_MEMBER,
		 FZ_M(position, partition, FZ_PARTITION)),
	FZ_IOCTL(ASSIGNMENT, assignment, FZ_NEEDS_MEMBER,
		 FZ_W(assignment, assigned, FZ_ARRAY, FZ_ROOM), FZ_M(assignment, room, FZ_COUNT),
		 FZ_M(assignment, entry_size, FZ_FIX, sizeof(struct evstream_assigned)),
		 FZ_M(assignment, ack, FZ_ENUM, 6), FZ_M(assignment, flags, FZ_RARE)),
	FZ_IOCTL(ACQUIRE, acquire, FZ_NEEDS_QUEUE | FZ_NEEDS_RECORDS,
		 FZ_W(acquire, records, FZ_ARRAY, FZ_ROOM), FZ_M(acquire, nr_records, FZ_COUNT),
		 FZ_M(acquire, record_size, FZ_FIX, sizeof(struct evstream_acquired)),
		 FZ_W(acquire, buf, FZ_PTR), FZ_M(acquire, len, FZ_FIX, 65536),
		 FZ_M(acquire, timeout_ms, FZ_MS), FZ_M(acquire, flags, FZ_RARE),
		 FZ_M(acquire, reserved, FZ_RARE)),
	FZ_IOCTL(ACK, ack, FZ_NEEDS_ACQUIRED,
		 FZ_W(ack, entries, FZ_ARRAY, FZ_ACKS), FZ_M(ack, nr_entries, FZ_ENUM, 6),
		 FZ_M(ack, entry_size, FZ_FIX, sizeof(struct evstream_ack_entry)),
		 FZ_M(ack, flags, FZ_FLAGS, 1)),
	{ "ioctl", fz_do_any_ioctl, 0, 0, FZ_NEEDS_FD,
	  FZ_PARAM({ FZ_FD }, { FZ_FIX, .param = EVSTREAM_IOC_STAT }, { FZ_PTR }, { FZ_RARE }) },

	FZ_NETLINK("topic_new", TOPIC_NEW, 0, 0,
		   FZ_A(TOPIC_NAME, 0, FZ_TOPIC), FZ_A(TOPIC_PARTITIONS, 4, FZ_COUNT),
		   FZ_A(TOPIC_SEGMENT_SIZE, 8, FZ_SEGMENT), FZ_A(TOPIC_RING_SIZE, 8, FZ_RING),
		   FZ_A(TOPIC_DIR, 0, FZ_DIR),
		   FZ_O(TOPIC_MAX_RECORD, 4, FZ_LEN), FZ_O(TOPIC_FRAMING, 4, FZ_ENUM, 2),
		   FZ_O(TOPIC_FULL_POLICY, 4, FZ_ENUM, 3), FZ_O(TOPIC_UID, 4, FZ_COUNT),
		   FZ_O(TOPIC_GID, 4, FZ_COUNT), FZ_A(TOPIC_MODE, 4, FZ_FIX, 0666),
		   FZ_O(TOPIC_RETENTION_MS, 8, FZ_MS), FZ_O(TOPIC_RETENTION_BYTES, 8, FZ_LEN),
		   FZ_O(TOPIC_FLUSH_INTERVAL, 8, FZ_MS), FZ_O(TOPIC_FLUSH_BYTES, 8, FZ_LEN)),
	FZ_NETLINK("topic_del", TOPIC_DEL, 0, FZ_NEEDS_TOPIC, FZ_A(TOPIC_NAME, 0, FZ_TOPIC)),
	FZ_NETLINK("topic_get", TOPIC_GET, 0, FZ_NEEDS_TOPIC, FZ_A(TOPIC_NAME, 0, FZ_TOPIC)),
	FZ_NETLINK("topic_dump", TOPIC_GET, 1, 0, FZ_O(TOPIC_NAME, 0, FZ_TOPIC)),
	FZ_NETLINK("topic_set", TOPIC_SET, 0, FZ_NEEDS_TOPIC,
		   FZ_A(TOPIC_NAME, 0, FZ_TOPIC), FZ_O(TOPIC_RING_SIZE, 8, FZ_RING),
		   FZ_O(TOPIC_MAX_RECORD, 4, FZ_LEN), FZ_O(TOPIC_FRAMING, 4, FZ_ENUM, 2),
		   FZ_O(TOPIC_FULL_POLICY, 4, FZ_ENUM, 3), FZ_O(TOPIC_UID, 4, FZ_COUNT),
		   FZ_O(TOPIC_GID, 4, FZ_COUNT), FZ_A(TOPIC_MODE, 4, FZ_FIX, 0666),
		   FZ_O(TOPIC_RETENTION_MS, 8, FZ_MS), FZ_O(TOPIC_RETENTION_BYTES, 8, FZ_LEN),
		   FZ_O(TOPIC_FLUSH_INTERVAL, 8, FZ_MS), FZ_O(TOPIC_FLUSH_BYTES, 8, FZ_LEN)),
	FZ_NETLINK("partition_get", PARTITION_GET, 0, FZ_NEEDS_TOPIC,
		   FZ_A(PARTITION_TOPIC, 0, FZ_TOPIC),
		   FZ_A(PARTITION_PARTITION, 4, FZ_PARTITION)),
	FZ_NETLINK("partition_dump", PARTITION_GET, 1, FZ_NEEDS_TOPIC,
		   FZ_O(PARTITION_TOPIC, 0, FZ_TOPIC)),
	FZ_NETLINK("topic_attach", TOPIC_ATTACH, 0, FZ_NEEDS_DURABLE | FZ_NEEDS_DETACHED,
		   FZ_A(TOPIC_NAME, 0, FZ_TOPIC), FZ_A(TOPIC_DIR, 0, FZ_DIR)),
	FZ_NETLINK("topic_detach", TOPIC_DETACH, 0, FZ_NEEDS_DURABLE,
		   FZ_A(TOPIC_NAME, 0, FZ_TOPIC)),
	FZ_NETLINK("group_get", GROUP_GET, 0, FZ_NEEDS_GROUP,
		   FZ_A(GROUP_TOPIC, 0, FZ_TOPIC), FZ_A(GROUP_NAME, 0, FZ_GROUP)),
	FZ_NETLINK("group_dump", GROUP_GET, 1, FZ_NEEDS_GROUP, FZ_O(GROUP_TOPIC, 0, FZ_TOPIC)),
	FZ_NETLINK("group_del", GROUP_DEL, 0, FZ_NEEDS_GROUP,
		   FZ_A(GROUP_TOPIC, 0, FZ_TOPIC), FZ_A(GROUP_NAME, 0, FZ_GROUP)),
	FZ_NETLINK("group_seek", GROUP_SEEK, 0, FZ_NEEDS_GROUP,
		   FZ_A(GROUP_OFFSET_TOPIC, 0, FZ_TOPIC), FZ_A(GROUP_OFFSET_GROUP, 0, FZ_GROUP),
		   FZ_A(GROUP_OFFSET_PARTITION, 4, FZ_PARTITION),
		   FZ_A(GROUP_OFFSET_WHENCE, 4, FZ_ENUM, 4),
		   FZ_A(GROUP_OFFSET_VALUE, 8, FZ_OFFSET)),
	FZ_NETLINK("member_dump", MEMBER_GET, 1, FZ_NEEDS_MEMBER,
		   FZ_O(MEMBER_TOPIC, 0, FZ_TOPIC), FZ_O(MEMBER_GROUP, 0, FZ_GROUP)),
	FZ_NETLINK("offset_get", GROUP_OFFSET_GET, 0, FZ_NEEDS_GROUP,
		   FZ_A(GROUP_OFFSET_TOPIC, 0, FZ_TOPIC), FZ_A(GROUP_OFFSET_GROUP, 0, FZ_GROUP),
		   FZ_A(GROUP_OFFSET_PARTITION, 4, FZ_PARTITION)),
	FZ_NETLINK("offset_dump", GROUP_OFFSET_GET, 1, FZ_NEEDS_GROUP,
		   FZ_O(GROUP_OFFSET_TOPIC, 0, FZ_TOPIC), FZ_O(GROUP_OFFSET_GROUP, 0, FZ_GROUP)),
	{ "nl_group", fz_do_nl_group, 0, 0, FZ_OUTSIDE,
	  FZ_PARAM({ FZ_SOCKET }, { FZ_FIX, .param = 2 }, { FZ_RARE }) },
	{ "nl_recv", fz_do_nl_recv, 0, 0, FZ_NEEDS_ANSWER | FZ_OUTSIDE,
	  FZ_PARAM({ FZ_SOCKET }, { FZ_COUNT }) },
	{ "nl_close", fz_do_nl_close, 0, 0, FZ_NEEDS_ANSWER | FZ_OUTSIDE,
	  FZ_PARAM({ FZ_SOCKET }) },
};

const unsigned int fz_nr_kinds = sizeof(fz_kinds) / sizeof(fz_kinds[0]);

#endif /* EVFUZZCALLS_H */
