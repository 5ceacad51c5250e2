// Bytes as text of one character a byte, as the models keep them. Data of a connection consists of that connection's own byte.

import { Buffer } from "node:buffer";

/** How many connections have a byte of their own: 0x80 to 0xbe, none of which begins a character of UTF-8. */
export const MAX_IDS = 62;

/** The byte of connection `id`, as a character. */
export function ownByte(id: number): string {
  return String.fromCharCode(0x80 + id);
}

/** As many of them as bytes. */
export function ownBytes(id: number, size: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(size).fill(0x80 + id);
}

/** Whether a byte may occur on connection `id`: its own, a delimiter's, or the first of its own in UTF-8. */
export function belongs(text: string, id: number): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x80 && code !== 0x80 + id && code !== 0xc2) return false;
  }
  return true;
}

/** One byte a character. */
export function toBytes(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** One character a byte. */
export function toText({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString("latin1");
}
