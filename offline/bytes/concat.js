// @ts-self-types="./concat.d.ts"
export * from "npm:deno-std@1.4.0/bytes/concat.js";
