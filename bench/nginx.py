"""The floor: nginx as a plain reverse proxy with one worker, which parses nothing it relays."""

import shutil
from pathlib import Path

from bench.processes import Process, cores, free_port, listens
from bench.targets import START_WAIT_S, Missing, Target

PLACES = ("/usr/sbin/nginx", "/usr/local/sbin/nginx")  # not on everybody's PATH

CONFIG = """
worker_processes 1;
daemon off;
pid {work}/nginx.pid;
error_log {work}/nginx-error.log;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {work}/nginx-body;
  proxy_temp_path {work}/nginx-proxy;
  fastcgi_temp_path {work}/nginx-fastcgi;
  uwsgi_temp_path {work}/nginx-uwsgi;
  scgi_temp_path {work}/nginx-scgi;
  upstream mock {{
    server 127.0.0.1:{provider_port};
    keepalive 512;
    keepalive_requests 1000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    keepalive_requests 1000000;
    location / {{
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


def nginx_binary() -> str:
    found = shutil.which("nginx") or next((p for p in PLACES if Path(p).exists()), None)
    if not found:
        raise Missing("nginx is missing; install it, for example: sudo apt-get install nginx-light")
    return found


def start_nginx(work: Path, provider: Target) -> Target:
    port = free_port()
    config = work / "nginx.conf"
    config.write_text(CONFIG.format(work=work, port=port, provider_port=provider.port))
    argv = [nginx_binary(), "-c", str(config), "-e", str(work / "nginx-error.log")]
    process = Process(argv, work / "nginx.log", cores()[0])
    # The port opens before the worker is there, and it is the worker that is measured.
    process.wait_until(lambda: listens(port) and len(process.pids()) > 1, START_WAIT_S)
    return Target("nginx", port, process, pids=process.pids(), provider_pids=provider.pids)
