/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM evstream

#if !defined(EVSTREAM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define EVSTREAM_TRACE_H

#include <linux/tracepoint.h>

/* A batch is filled and about to be published. */
TRACE_EVENT(evstream_append,
	TP_PROTO(u32 topic, u32 partition, u64 offset, u32 records, u32 bytes),
	TP_ARGS(topic, partition, offset, records, bytes),
	TP_STRUCT__entry(
		__field(u32, topic)
		__field(u32, partition)
		__field(u64, offset)
		__field(u32, records)
		__field(u32, bytes)
	),
	TP_fast_assign(
		__entry->topic = topic;
		__entry->partition = partition;
		__entry->offset = offset;
		__entry->records = records;
		__entry->bytes = bytes;
	),
	TP_printk("topic=%u partition=%u offset=%llu records=%u bytes=%u",
		  __entry->topic, __entry->partition, __entry->offset,
		  __entry->records, __entry->bytes)
);

/* A segment goes; what is held now begins at @offset. */
TRACE_EVENT(evstream_drop,
	TP_PROTO(u32 topic, u32 partition, u64 offset, u64 position),
	TP_ARGS(topic, partition, offset, position),
	TP_STRUCT__entry(
		__field(u32, topic)
		__field(u32, partition)
		__field(u64, offset)
		__field(u64, position)
	),
	TP_fast_assign(
		__entry->topic = topic;
		__entry->partition = partition;
		__entry->offset = offset;
		__entry->position = position;
	),
	TP_printk("topic=%u partition=%u start_offset=%llu start_position=%llu",
		  __entry->topic, __entry->partition, __entry->offset,
		  __entry->position)
);

/* A reader was too late for [@from, @to). */
TRACE_EVENT(evstream_lost,
	TP_PROTO(u32 topic, u32 partition, u64 from, u64 to),
	TP_ARGS(topic, partition, from, to),
	TP_STRUCT__entry(
		__field(u32, topic)
		__field(u32, partition)
		__field(u64, from)
		__field(u64, to)
	),
	TP_fast_assign(
		__entry->topic = topic;
		__entry->partition = partition;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("topic=%u partition=%u from=%llu to=%llu",
		  __entry->topic, __entry->partition, __entry->from, __entry->to)
);

#endif /* EVSTREAM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
