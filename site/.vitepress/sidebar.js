export const KOREAN={search:{}}; export const sidebar=()=>[];
