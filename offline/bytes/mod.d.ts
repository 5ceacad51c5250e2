// The part of @std/bytes 1.0 that is used here; the npm build carries no types.
export { concat } from "./concat.js";
export function equals(a: Uint8Array, b: Uint8Array): boolean;
export function indexOfNeedle(source: Uint8Array, needle: Uint8Array, start?: number): number;
