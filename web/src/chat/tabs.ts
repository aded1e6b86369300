// What the tabs of a browser tell each other: that there is something to look at in the database.

export type News = { readonly kind: "list" } | { readonly kind: "turns"; readonly conversation: string };

export class Tabs {
  readonly #channel = typeof BroadcastChannel === "function" ? new BroadcastChannel("tokenferry-chat") : null;

  /** Calls back with what another tab tells. */
  hear(callback: (news: News) => void): void {
    if (this.#channel) this.#channel.onmessage = (event: MessageEvent<News>) => callback(event.data);
  }

  say(news: News): void {
    this.#channel?.postMessage(news);
  }
}
