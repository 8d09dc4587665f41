#!/usr/bin/python3
"""One libtorrent peer of bench:transfer, plaintext, without DHT, LSD and PEX.

libtorrent-peer.py TORRENT DIR HOST PORT seed|leech UPLOAD_LIMIT STAMP

A seeder begins at once; a leecher says "ready" and begins when a line comes, as a client does that runs already.
STAMP is made when the download is complete and every piece was checked.
"""
import sys
import libtorrent as lt

torrent, directory, host, port, role, limit, stamp = sys.argv[1:8]
limit = int(limit)

# Unlimited: the library's preset for speed, with long request queues. Limited: its defaults, because long queues ask the
# seeder for everything before the leechers can help each other.
settings = dict(lt.default_settings() if limit else lt.high_performance_seed())
if not limit:
    settings.update({
        "max_out_request_queue": 1500,
        "max_allowed_in_request_queue": 4000,
        "request_queue_time": 10,
        "whole_pieces_threshold": 20,
        "send_buffer_watermark": 8 << 20,
        "send_buffer_low_watermark": 1 << 20,
        "send_buffer_watermark_factor": 150,
        "max_queued_disk_bytes": 128 << 20,
        "suggest_mode": 0,
    })
settings.update({
    "listen_interfaces": f"{host}:{port}",
    "outgoing_interfaces": host,
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "in_enc_policy": 2,
    "out_enc_policy": 2,
    "allow_multiple_connections_per_ip": True,
    "unchoke_slots_limit": -1,
    "choking_algorithm": 0,
    "smooth_connects": False,
    "connection_speed": 500,
    "min_reconnect_time": 1,
    "rate_limit_ip_overhead": False,
    "aio_threads": 4,
    "hashing_threads": 1,
    "tick_interval": 100,
    "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
})
session = lt.session(settings, flags=0)
# Private addresses are exempt from limits by default: count all of them.
everybody = lt.ip_filter()
everybody.add_rule("0.0.0.0", "255.255.255.255", 1 << session.global_peer_class_id)
session.set_peer_class_filter(everybody)

params = lt.add_torrent_params()
params.ti = lt.torrent_info(torrent)
params.save_path = directory
params.storage_mode = lt.storage_mode_t.storage_mode_sparse
params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
if role == "seed":
    params.flags |= lt.torrent_flags.seed_mode
if limit:
    params.upload_limit = limit
if role == "leech":
    print("ready", flush=True)
    sys.stdin.readline()
session.add_torrent(params)
while True:
    session.wait_for_alert(200)
    for alert in session.pop_alerts():
        if isinstance(alert, lt.torrent_finished_alert) and role == "leech":
            open(stamp, "w").close()
        if alert.category() & lt.alert.category_t.error_notification:
            print(alert.message(), file=sys.stderr, flush=True)
