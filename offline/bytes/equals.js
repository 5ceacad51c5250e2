// @ts-self-types="./equals.d.ts"
export * from "npm:deno-std@1.4.0/bytes/equals.js";
