// Filters are in the address: a page can be kept, sent to somebody, and gone back to.

import { useLocation } from "preact-iso";

export type Query = Readonly<Record<string, string | undefined>>;

/** A path with its query; what is empty is left out. */
export function withQuery(path: string, query: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") search.set(name, value);
  }
  const text = search.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** The query of the page's address, and what changes some of it, in the history or in its place. */
export function useQuery(): [Query, (changes: Query, replace?: boolean) => void] {
  const { path, query, route } = useLocation();
  return [query, (changes, replace = false) => route(withQuery(path, { ...query, ...changes }), replace)];
}
