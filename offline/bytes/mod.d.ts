// The part of @std/bytes 1.0 that is used here; the npm build carries no types.
export { concat } from "./concat.js";
export { equals } from "./equals.js";
export function indexOfNeedle(source: Uint8Array, needle: Uint8Array, start?: number): number;
