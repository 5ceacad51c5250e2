/** Draws the chart of scenario (a): a row per peer, a column per size, each column with its own scale. */

import { OURS } from "./peers.ts";
import type { Results } from "./results.ts";
import { LINE_SIZES } from "./scenarios.ts";
import { short } from "./tables.ts";

const WIDTH = 960;
const NAMES = 165; //  the names' column
const ROW = 24;
const TOP = 78;
const BAR = 104; //   of the fastest; its figure stands behind it

// Legible on white and on near-black: an image does not know its background.
const TEXT = "#717a85", OUR = "#2f81f7", THEIR = "#9aa4af";
const LIMIT = "bare read loop";

/**
 * Draws the results of scenario (a) with CR LF.
 *
 * @param results The samples.
 * @param note Date and machine of the samples.
 * @returns The text of an SVG file.
 */
export function drawChart(results: Results, note: string): string {
  const rate = (peer: string, size: number) => results.spread(`a crlf ${size}`, peer, "rate")?.median;
  const speed = (peer: string) => rate(peer, LINE_SIZES[1]) ?? 0;
  const peers = results.peers(`a crlf ${LINE_SIZES[1]}`)
    .filter((peer) => !peer.startsWith("nothing"))
    .sort((a, b) => speed(b) - speed(a));
  const height = TOP + peers.length * ROW + 34;
  const column = (WIDTH - NAMES) / LINE_SIZES.length;

  const marks: string[] = [
    text(0, 20, "Lines a second over loopback: one connection, one thread that splits and counts", "title"),
    text(
      0,
      40,
      `Each column on a scale of its own, from 0; the ${LIMIT} splits nothing: it is the limit. Blue: this library`,
    ),
  ];
  const fastest = LINE_SIZES.map((size) =>
    Math.max(...peers.filter((peer) => peer !== LIMIT).map((peer) => rate(peer, size) ?? 0))
  );
  LINE_SIZES.forEach((size, i) => {
    marks.push(text(NAMES + i * column, TOP - 12, `${size.toLocaleString("en")} B a line`, "head"));
  });
  peers.forEach((peer, row) => {
    const y = TOP + row * ROW;
    const ours = OURS.some(({ name }) => name === peer);
    marks.push(text(NAMES - 10, y + 14, peer, ours ? "name ours" : "name"));
    LINE_SIZES.forEach((size, i) => {
      const lines = rate(peer, size);
      if (lines === undefined) return;
      const x = NAMES + i * column;
      if (peer === LIMIT) return void marks.push(text(x, y + 14, short(lines)));
      const width = (BAR * lines / fastest[i]!).toFixed(1);
      const kind = ours ? "our" : "their";
      marks.push(`<rect class="${kind}" x="${x}" y="${y + 3}" width="${width}" height="${ROW - 8}" rx="2"/>`);
      marks.push(text(x + Number(width) + 5, y + 14, short(lines), ours ? "ours" : ""));
    });
  });
  marks.push(text(0, height - 8, note));

  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Lines a second by peer and size">
<style>
text { font: 12px system-ui, sans-serif; fill: ${TEXT} }
.title { font-size: 15px; font-weight: 600 }
.head { font-weight: 600 }
.name { text-anchor: end }
.ours { font-weight: 600; fill: ${OUR} }
.our { fill: ${OUR} }
.their { fill: ${THEIR} }
</style>
${marks.join("\n")}
</svg>
`;
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

function text(x: number, y: number, content: string, kind = ""): string {
  const escaped = content.replace(/[&<>]/g, (char) => ENTITIES[char]!);
  return `<text x="${x}" y="${y}"${kind === "" ? "" : ` class="${kind}"`}>${escaped}</text>`;
}
