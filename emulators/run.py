"""Runs the emulators of all payment providers, and prints what to put into tokenferry.toml.

python -m emulators.run [--gateway http://127.0.0.1:8000] [--port 8201]
"""

import argparse
import asyncio
import contextlib
import signal

from aiohttp import web

from emulators import stripe
from emulators.portone import PortOneEmulator
from emulators.toss import CLIENT_KEY, SECRET_KEY, TossEmulator

CONFIG = """
  [server]  # is there one already? Then add the next line to it, in place of these two
  public_url = "{gateway}"

  [payments]
  packages_usd = ["5.00", "20.00"]
  packages_krw = ["10000", "30000"]
  krw_per_usd = "1450.00"
  krw_rate_date = "2026-11-27"

  [toss]
  client_key = "{toss_client_key}"
  secret_key = "{toss_secret_key}"
  api_url = "{toss}"
  script_url = "{toss}/v2/standard"

  [portone]
  store_id = "{portone_store}"
  channel_key = "{portone_channel}"
  api_secret = "{portone_secret}"
  webhook_secret = "{portone_webhook}"
  test = true
  ask_buyer = true
  api_url = "{portone}"
  script_url = "{portone}/v2/browser-sdk.js"

  [stripe]
  secret_key = "{stripe_secret_key}"
  webhook_secret = "{stripe_webhook}"
  api_url = "{stripe}"
"""


async def run(gateway: str, port: int) -> None:
    """Run until SIGINT or SIGTERM; the ports are `port` and the two after it."""
    hooks = f"{gateway}/api/webhooks"
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        toss = TossEmulator(f"{hooks}/toss")
        toss.outbox.at_once = True
        toss_url = await toss.start(port)
        stack.push_async_callback(toss.stop)
        portone = PortOneEmulator(f"{hooks}/portone")
        runner = web.AppRunner(portone.app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", port + 1).start()
        emulated = stripe.StripeEmulator(webhook_url=f"{hooks}/stripe")
        await stack.enter_async_context(emulated.running(port + 2))
        print("  Toss Payments, PortOne and Stripe are emulated here. In tokenferry.toml:")
        print(
            CONFIG.format(
                gateway=gateway,
                toss=toss_url,
                toss_client_key=CLIENT_KEY,
                toss_secret_key=SECRET_KEY,
                portone=f"http://127.0.0.1:{port + 1}",
                portone_store=portone.store_id,
                portone_channel=portone.channel_key,
                portone_secret=portone.api_secret,
                portone_webhook=portone.webhook_secret,
                stripe=emulated.url,
                stripe_secret_key=emulated.secret_key,
                stripe_webhook=emulated.webhook_secret,
            )
        )
        print(f"  Toss's console, deposits and refunds: {toss_url}/", flush=True)
        await stop.wait()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m emulators.run", description=__doc__)
    parser.add_argument("--gateway", default="http://127.0.0.1:8000", help="where the gateway is")
    parser.add_argument("--port", type=int, default=8201, help="the first of three")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.gateway.rstrip("/"), arguments.port))


if __name__ == "__main__":
    main()
