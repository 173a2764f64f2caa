#!/usr/bin/env python3
"""Writes dashboards/*.json from the descriptions below; with --check only compares.

A dashboard is a list of rows, a row a title and its panels, a panel a title, a unit, its queries and
what it is about. Names of metrics are those of docs/metrics.md; the tests run every query.
"""

import json
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "dashboards"
WIDTH, HEIGHT = 24, 8

# Over what rates are taken: what Grafana finds fitting for the range shown.
EACH = "$__rate_interval"
NODES = 'instance=~"$node"'


def rate(family, by="instance", labels=""):
    """The rate of a counter, summed by these labels."""
    return f"sum by ({by}) (rate({family}{{{NODES}{labels}}}[{EACH}]))"


def deflated(size):
    """Payload of compressed messages a second, in this size."""
    return rate("roomcast_deflated_bytes_total", labels=f', size="{size}"')


def quantile(share, family, by="", labels=""):
    """A quantile of a histogram, over the nodes shown or by a label of it."""
    by = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({by}) (rate({family}_bucket{{{NODES}{labels}}}[{EACH}])))"


def quantiles(family, labels=""):
    """p50, p99 and p99.9 of a histogram."""
    shares = [("0.5", "p50"), ("0.99", "p99"), ("0.999", "p99.9")]
    return [(quantile(share, family, labels=labels), name) for share, name in shares]


def total(family, by="instance", labels=""):
    """A gauge, summed by these labels."""
    return f"sum by ({by}) ({family}{{{NODES}{labels}}})" if by else f"sum({family}{{{NODES}{labels}}})"


NODE = "{{instance}}"
TICK = f"roomcast_worker_last_tick_timestamp_seconds{{{NODES}}}"

OVERVIEW = ("overview", "Roomcast: overview", [
    ("Now", [
        ("stat", "Nodes ready", "none", [(f"sum(roomcast_ready{{{NODES}}})", "ready")],
         "Nodes that take clients, of those that Prometheus knows."),
        ("stat", "Connections", "short", [(total("roomcast_connections", ""), "open")], "Open now."),
        ("stat", "Messages in", "short", [(f"sum(rate(roomcast_messages_in_total{{{NODES}}}[{EACH}]))", "/s")],
         "Accepted from clients, a second."),
        ("stat", "Deliveries", "short", [(f"sum(rate(roomcast_messages_out_total{{{NODES}}}[{EACH}]))", "/s")],
         "A message written to a member is one, a second."),
        ("stat", "Delay p99", "s", [(quantile("0.99", "roomcast_delivery_seconds") + " >= 0", "p99")],
         "From a message's time to the end of the pass that wrote it. Two clocks: docs/metrics.md."),
        ("stat", "Gaps told, 1 h", "short", [(f"round(sum(increase(roomcast_gaps_total{{{NODES}}}[1h])))", "gaps")],
         "Members that were told of messages they will not get."),
    ]),
    ("Redis, by node", [
        ("lines", "Last probe", "s", [(f"max by (instance) (roomcast_bus_probe_age_seconds{{{NODES}}})", NODE)],
         "Since the last probe came back, on the slowest subscribe connection. Above 3 s a node is not ready."),
        ("lines", "Subscriptions that wait", "s",
         [(f"max by (instance) (roomcast_bus_unconfirmed_age_seconds{{{NODES}}})", NODE)],
         "Since the longest waiting subscription is wanted. Above 2 s a node is not ready."),
        ("lines", "Primaries without connection", "none",
         [(total("roomcast_bus_circuit", "instance, state", ',state!="closed"'), "{{instance}}, {{state}}")],
         "half_open: lost a moment ago, publishes wait. open: away, publishes are refused."),
    ]),
    ("Load", [
        ("lines", "Connections", "short", [(total("roomcast_connections"), NODE)], "By node."),
        ("lines", "Connections opened and closed", "cps", [
            (rate("roomcast_connections_opened_total", "kind"), "opened, {{kind}}"),
            (rate("roomcast_connections_closed_total", "reason"), "closed, {{reason}}"),
        ], "A wave of returning ones is a reconnect storm."),
        ("lines", "Messages in", "cps", [(rate("roomcast_messages_in_total"), NODE)], "Accepted from clients."),
        ("lines", "Deliveries", "cps", [(rate("roomcast_messages_out_total"), NODE)], "Written to members."),
    ]),
    ("Delay and errors", [
        ("lines", "From publish to member", "s", quantiles("roomcast_delivery_seconds"),
         "From a message's time (the bus's clock) to the end of the pass that wrote it (the node's clock)."),
        ("lines", "From publish to ack", "s", quantiles("roomcast_publish_ack_seconds"),
         "On the node that the publisher is connected to; one clock."),
        ("lines", "Errors answered", "cps", [(rate("roomcast_errors_total", "code"), "{{code}}")],
         "Error frames by their code (docs/protocol.md)."),
        ("lines", "Handshakes refused", "cps", [(rate("roomcast_connections_refused_total", "reason"), "{{reason}}")],
         "Before there was a connection."),
        ("lines", "Above limits", "cps", [(rate("roomcast_limits_total", "limit, action"), "{{limit}}, {{action}}")],
         "Refused or ended because of a limit; not_applied: a proxy told no client's address."),
        ("lines", "Untrusted forwarding headers", "cps", [(rate("roomcast_untrusted_forwards_total"), NODE)],
         "From proxies that http.trusted_proxies does not name."),
        ("lines", "Requests of backends", "cps", [(rate("roomcast_api_requests_total", "route, outcome"), "{{route}}, {{outcome}}")],
         "Below /v1, by route and outcome (docs/api.md)."),
        ("lines", "Bans", "none", [(total("roomcast_bans"), NODE), (rate("roomcast_order_failures_total"), "{{instance}}, failures")],
         "In force, as each node knows them, and exchanges of them with Redis that failed."),
    ]),
])

CLUSTER = ("cluster", "Roomcast: nodes", [
    ("State", [
        ("lines", "Ready", "none", [(f"roomcast_ready{{{NODES}}}", NODE)], "1 while a node takes clients."),
        ("lines", "Drain", "none", [(f"roomcast_drain_phase{{{NODES}}}", NODE)],
         "0 serving, 1 still taking connections, 2 clients move, 3 closing what is left."),
        ("lines", "Version", "none", [(f"count by (version) (roomcast_build_info{{{NODES}}})", "{{version}}")],
         "Nodes of each version: two during a rolling update."),
        ("lines", "Last tick of the slowest worker", "s",
         [(f"max by (instance) (timestamp({TICK}) - {TICK})", NODE)],
         "How long ago it was when Prometheus asked. Above a few seconds the worker hangs."),
        ("lines", "Age of the tokens' keys", "s",
         [(f"time() - (roomcast_jwks_fetched_timestamp_seconds{{{NODES}}} > 0)", NODE)],
         "Since the keys of auth.jwks_url were last fetched, which happens every five minutes. Empty without them."),
    ]),
    ("Leases", [
        ("lines", "Nodes with a lease", "none", [(total("roomcast_leases", "instance", ',state="live"'), NODE)],
         "As each node last read them from Redis: all lines agree, at the number of nodes."),
        ("lines", "Marked dead in the last hour", "none", [(total("roomcast_leases", "instance", ',state="dead"'), NODE)],
         "Lives of nodes that ended or lost Redis."),
        ("lines", "Presence", "cps", [(rate("roomcast_presence_changes_total", "change"), "{{change}}")],
         "Users that joined and left rooms; info and status that changed; lists that were to be read again."),
    ]),
    ("Each node's share", [
        ("lines", "Connections", "short", [(total("roomcast_connections"), NODE)], ""),
        ("lines", "Members", "short", [(total("roomcast_members"), NODE)], "A connection in three rooms counts three."),
        ("lines", "Deliveries", "cps", [(rate("roomcast_messages_out_total"), NODE)], ""),
        ("lines", "Delay p99", "s", [(quantile("0.99", "roomcast_delivery_seconds", "instance"), NODE)],
         "A node that stands out alone may have its clock wrong."),
    ]),
    ("Connections", [
        ("lines", "Opened", "cps", [(rate("roomcast_connections_opened_total"), NODE)], "Bounded by limits.accept_rate."),
        ("lines", "Closed", "cps", [(rate("roomcast_connections_closed_total", "reason"), "{{reason}}")],
         "restart: closed by a drain, as the client did not move by itself."),
        ("lines", "Handshake", "s", quantiles("roomcast_handshake_seconds"), "From the accepted socket to the written answer."),
        ("lines", "Attempts to return", "short", quantiles("roomcast_reconnect_attempts"),
         "Since the client's last connection, by its own word. Above 1: nodes are away, full or refusing."),
        ("lines", "Length of connections", "s", [(quantile("0.5", "roomcast_connection_duration_seconds"), "p50"),
         (quantile("0.99", "roomcast_connection_duration_seconds"), "p99")], "Of those that ended."),
    ]),
])

DELIVERY = ("delivery", "Roomcast: rooms and delivery", [
    ("Rooms", [
        ("lines", "Rooms with members", "short", [(total("roomcast_rooms", "namespace"), "{{namespace}}")],
         "A room with members on three nodes counts three."),
        ("lines", "Members", "short", [(total("roomcast_members", "namespace"), "{{namespace}}")], ""),
        ("lines", "Memory of the logs", "bytes", [(total("roomcast_log_bytes"), NODE)], "Bounded by limits.log_bytes."),
        ("lines", "Deliveries per write", "none",
         [(f"{rate('roomcast_messages_out_total')} / {rate('roomcast_writes_total')}", NODE)],
         "How many deliveries share one system call: more under load."),
    ]),
    ("What members were told", [
        ("lines", "Gaps", "cps", [(rate("roomcast_gaps_total", "cause"), "{{cause}}")],
         "history: away for longer than history reaches; bus: lost by Redis; slow: conflated; budget: log memory."),
        ("lines", "Resumes", "cps", [(rate("roomcast_resumes_total", "outcome"), "{{outcome}}")], "Joins with a position."),
        ("lines", "Slow readers", "cps", [(rate("roomcast_slow_total", "action"), "{{action}}")],
         "Fell off a room's log by their own lag."),
        ("lines", "Pages read for readers behind the log", "cps", [(rate("roomcast_catchup_reads_total"), NODE)], ""),
    ]),
    ("People", [
        ("lines", "Changes of presence", "cps",
         [(rate("roomcast_presence_changes_total", "change"), "{{change}}")],
         "Users that joined or left a room, info and status, each as one node wrote it. reset: lists to be read again."),
        ("lines", "Signals and typing", "cps",
         [(rate("roomcast_signals_total", "outcome"), "{{outcome}}"),
          (rate("roomcast_bus_ephemeral_dropped_total"), "lost on the way to Redis")],
         "dropped counts each member for which one was dropped."),
        ("lines", "Calls for presence", "cps",
         [(rate("roomcast_bus_commands_total", "command", ', command=~"presence|presence_read|push"'), "{{command}}")],
         "Independent of members that stay. push: signals."),
        ("lines", "Calls for presence, p99", "s",
         [(quantile("0.99", "roomcast_bus_command_seconds", "command", ', command=~"presence|presence_read"'), "{{command}}")],
         "A join waits for its call a second at most."),
    ]),
    ("State rooms", [
        ("lines", "Served beside the log", "cps", [(rate("roomcast_state_served_total", "form"), "{{form}}")],
         "snapshot: joins, resets, forgotten removals; conflated: pages for slow readers."),
        ("lines", "Reads of states", "cps", [(rate("roomcast_state_reads_total", "outcome"), "{{outcome}}")],
         "Once for each room that opens, and after gaps, resets and evictions."),
        ("lines", "Values removed as they expired", "cps", [(rate("roomcast_state_expired_total"), NODE)], ""),
    ]),
    ("Where the time goes", [
        ("lines", "Stages, p50", "s", [(quantile("0.5", "roomcast_delivery_stage_seconds", "stage"), "{{stage}}")],
         "bus: to the node's log (two clocks); hub: to the worker; pass: until written."),
        ("lines", "Stages, p99", "s", [(quantile("0.99", "roomcast_delivery_stage_seconds", "stage"), "{{stage}}")], ""),
        ("lines", "Frames, mean", "s",
         [(f"{rate('roomcast_frame_seconds_sum', 'type')} / {rate('roomcast_frame_seconds_count', 'type')}", "{{type}}")],
         "Time on the worker to handle one frame from a client, by its type."),
        ("lines", "Frames, p99", "s", [(quantile("0.99", "roomcast_frame_seconds", "type"), "{{type}}")], ""),
        ("lines", "Clock ahead", "cps", [(rate("roomcast_delivery_clock_ahead_total"), NODE)],
         "Messages from the future: this node's clock is behind Redis's."),
        ("lines", "Frames from clients", "cps", [(rate("roomcast_frames_in_total", "type"), "{{type}}")], ""),
    ]),
])

BUS = ("bus", "Roomcast: bus", [
    ("State", [
        ("lines", "Up", "none", [(f"roomcast_bus_up{{{NODES}}}", NODE)],
         "1 while probes through Redis come back."),
        ("lines", "Takes writes", "none", [(f"roomcast_bus_writable{{{NODES}}}", NODE)],
         "0 while a primary refuses writes: memory, disk or replicas. Reading goes on."),
        ("lines", "Subscriptions missing", "none",
         [(f"roomcast_bus_subscriptions_wanted{{{NODES}}} - roomcast_bus_subscriptions_confirmed{{{NODES}}}", NODE)],
         "Wanted, and not confirmed by Redis."),
        ("lines", "Probe", "s", quantiles("roomcast_bus_probe_seconds"), "Through Redis and back; one clock."),
        ("lines", "Connections made anew", "cps", [(rate("roomcast_bus_reconnects_total", "connection"), "{{connection}}")],
         "After the first of each kind."),
    ]),
    ("Commands", [
        ("lines", "Commands", "cps", [(rate("roomcast_bus_commands_total", "command"), "{{command}}")], ""),
        ("lines", "Time, p99", "s", [(quantile("0.99", "roomcast_bus_command_seconds", "command"), "{{command}}")],
         "Waiting for a connection included."),
        ("lines", "Errors", "cps", [(rate("roomcast_bus_command_errors_total", "command"), "{{command}}")], "Failed, or not answered in time."),
        ("lines", "Messages per group commit", "none",
         [(f"{rate('roomcast_bus_group_messages_sum')} / {rate('roomcast_bus_group_messages_count')}", NODE)],
         "Publishes to one room that travel together: more under load."),
    ]),
    ("Order and repair", [
        ("lines", "Repairs", "cps", [(rate("roomcast_bus_repairs_total", "cause"), "{{cause}}")], "Begun, by what made them needed."),
        ("lines", "Time to repair", "s", quantiles("roomcast_bus_repair_seconds"), ""),
        ("lines", "Epochs begun", "cps", [(rate("roomcast_bus_epoch_resets_total", "cause"), "{{cause}}")],
         "life: a failover or restart of Redis."),
        ("lines", "Lost", "cps", [
            (rate("roomcast_bus_gaps_total", ""), "gaps"),
            (rate("roomcast_bus_publish_unknown_total", ""), "unknown outcome"),
            (rate("roomcast_bus_overloaded_total", ""), "overloaded"),
        ], "What Redis no longer had, and publishes without an answer."),
    ]),
    ("Pushes", [
        ("lines", "Pushes", "cps", [(rate("roomcast_bus_pushes_total"), NODE)], "Received from Redis."),
        ("lines", "Bytes of pushes", "Bps", [(rate("roomcast_bus_push_bytes_total"), NODE)], ""),
        ("lines", "Holes and duplicates", "cps", [
            (rate("roomcast_bus_holes_total", ""), "holes"),
            (rate("roomcast_bus_duplicates_total", ""), "duplicates"),
        ], "Duplicates are dropped, holes repaired."),
        ("lines", "Pushes ignored", "cps", [(rate("roomcast_bus_pushes_ignored_total"), NODE)],
         "Of kinds that the node's version does not know: nodes of a newer version are at work."),
        ("lines", "Feeds", "short", [(f"roomcast_bus_feeds{{{NODES}}}", NODE)], "Rooms that the node listens to."),
    ]),
])

SATURATION = ("saturation", "Roomcast: saturation", [
    ("Processor and memory", [
        ("lines", "CPU", "percentunit", [(f"rate(process_cpu_seconds_total{{{NODES}}}[{EACH}])", NODE)], "1 is one core."),
        ("lines", "CPU per delivery", "s",
         [(f"sum by (instance) (rate(process_cpu_seconds_total{{{NODES}}}[{EACH}])) / ({rate('roomcast_messages_out_total')} > 100)", NODE)],
         "While there are more than 100 a second."),
        ("lines", "Memory", "bytes", [(f"process_resident_memory_bytes{{{NODES}}}", NODE)], "Resident."),
        ("lines", "Memory per connection", "bytes",
         [(f"process_resident_memory_bytes{{{NODES}}} / on (instance) ({total('roomcast_connections')} > 0)", NODE)],
         "Everything the process holds, shared out: it tells something from some 1,000 connections on."),
    ]),
    ("Limits", [
        ("lines", "Descriptors", "percentunit",
         [(f"process_open_fds{{{NODES}}} / on (instance) roomcast_descriptor_limit{{{NODES}}}", NODE)], "Open, of those allowed."),
        ("lines", "Threads", "short", [(f"process_threads{{{NODES}}}", NODE)], ""),
        ("lines", "Worker queues found full", "cps", [(rate("roomcast_hub_queue_full_total"), NODE)],
         "Nothing is lost: the worker reads the log again."),
        ("lines", "Certificate's end", "s",
         [(f"(roomcast_certificate_end_timestamp_seconds{{{NODES}}} > 0) - time()", NODE)], "Time that is left; nothing without TLS."),
        ("lines", "Certificates not taken", "cps", [(rate("roomcast_certificate_reload_failures_total"), NODE)],
         "Pairs that cannot be used: the old one stays."),
        ("lines", "Panics", "cps", [(rate("roomcast_panics_total"), NODE)], "Each is a bug."),
    ]),
    ("Network", [
        ("lines", "Bytes out", "Bps", [(rate("roomcast_bytes_out_total"), NODE)], ""),
        ("lines", "Bytes in", "Bps", [(rate("roomcast_bytes_in_total"), NODE)], ""),
        ("lines", "Compressed to", "percentunit",
         [(f"{deflated('compressed')} / {deflated('plain')}", NODE)], "Of the payload of what was compressed (`http.deflate`)."),
        ("lines", "Writes", "cps", [(rate("roomcast_writes_total"), NODE)], "System calls."),
        ("lines", "Passes", "cps", [(rate("roomcast_passes_total"), NODE)], "Rounds of writes over a room's members."),
    ]),
])

DASHBOARDS = [OVERVIEW, CLUSTER, DELIVERY, BUS, SATURATION]


def panel(number, description, place):
    """One panel in Grafana's words."""
    kind, title, unit, queries, about = description
    made = {
        "id": number,
        "type": "stat" if kind == "stat" else "timeseries",
        "title": title,
        "description": about,
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "noValue": "–"}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + at), "expr": query, "legendFormat": legend}
            for at, (query, legend) in enumerate(queries)
        ],
    }
    if kind == "stat":
        made["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "area"}
    else:
        made["fieldConfig"]["defaults"]["custom"] = {"lineWidth": 1, "fillOpacity": 10}
        made["options"] = {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc", "hideZeros": True},
        }
    return made


def dashboard(name, title, rows):
    """One dashboard in Grafana's words."""
    panels, top = [], 0
    for row_title, descriptions in rows:
        panels.append({"id": len(panels) + 1, "type": "row", "title": row_title, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1}})
        top += 1
        height = HEIGHT // 2 if descriptions[0][0] == "stat" else HEIGHT
        width = WIDTH // len(descriptions)
        for at, description in enumerate(descriptions):
            place = {"x": at * width, "y": top, "w": width, "h": height}
            panels.append(panel(len(panels) + 1, description, place))
        top += height
    node = {
        "name": "node", "label": "Node", "type": "query", "query": "label_values(roomcast_build_info, instance)",
        "datasource": {"type": "prometheus", "uid": "prometheus"}, "refresh": 2, "sort": 1,
        "multi": True, "includeAll": True, "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
    return {
        "uid": f"roomcast-{name}", "title": title, "tags": ["roomcast"], "schemaVersion": 39, "editable": True,
        "time": {"from": "now-30m", "to": "now"}, "refresh": "5s",
        "links": [{"title": "Roomcast", "type": "dashboards", "tags": ["roomcast"], "asDropdown": True, "keepTime": True}],
        "templating": {"list": [node]}, "panels": panels,
    }


def main():
    check = sys.argv[1:] == ["--check"]
    stale = []
    for name, title, rows in DASHBOARDS:
        path = FOLDER / f"{name}.json"
        text = json.dumps(dashboard(name, title, rows), indent=1, ensure_ascii=False) + "\n"
        if check and (not path.exists() or path.read_text() != text):
            stale.append(path.name)
        elif not check:
            path.write_text(text)
    if stale:
        sys.exit(f"not as deploy/grafana/build.py makes them: {', '.join(stale)}")


if __name__ == "__main__":
    main()
