/** Draws scenario (a): how many frames a second each peer takes, for each length of a line, as bars on a logarithmic scale. */

import type { Row } from "./scenarios.ts";

const SHOWN = ["us, range", "us, view", "Go", "libevent", "node:net, indexOf", "std DelimiterStream", "asynchat"];
const COLOURS = ["#0b6e4f", "#2fa36b", "#5b7db1", "#8a6fb0", "#b08a3e", "#b0603e", "#a33e5b"];
const [WIDTH, LEFT, TOP, BAR, GAP] = [760, 200, 56, 13, 26];
const [LEAST, MOST] = [0.01, 200];

/** Where on the line from left to right a figure lies. */
const x = (figure: number) =>
  LEFT + (WIDTH - LEFT - 70) * Math.log(Math.max(figure, LEAST) / LEAST) / Math.log(MOST / LEAST);

/** The chart as SVG, of the rows of (a) with `\r\n`. */
export function chart(about: { date: string; machine: string }, rows: [Row, (figures: number[]) => number][]): string {
  const parts: string[] = [];
  let y = TOP;
  for (const [row, median] of rows) {
    if (row.scenario !== "a" || !row.setting.endsWith("crlf")) continue;
    parts.push(`<text x="8" y="${y + 11}" class="b">lines of ${row.setting.replace(", crlf", "")}</text>`);
    for (const [i, name] of SHOWN.entries()) {
      const figures = row.figures[name];
      if (figures === undefined) continue;
      const figure = median(figures);
      const text = figure >= 10 ? figure.toFixed(0) : figure.toFixed(2);
      parts.push(
        `<text x="${LEFT - 6}" y="${y + 11}" text-anchor="end">${name}</text>`,
        `<rect x="${LEFT}" y="${y + 1}" width="${(x(figure) - LEFT).toFixed(1)}" height="${BAR - 2}" fill="${
          COLOURS[i]
        }"/>`,
        `<text x="${(x(figure) + 5).toFixed(1)}" y="${y + 11}">${text}</text>`,
      );
      y += BAR;
    }
    y += GAP;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" font-family="system-ui, sans-serif" font-size="11">
<style>text { fill: #333 } .b { font-weight: bold } @media (prefers-color-scheme: dark) { text { fill: #ddd } }</style>
<text x="8" y="18" font-size="14" class="b">Million frames a second, over loopback, one core (logarithmic scale)</text>
<text x="8" y="36">${about.date}, ${about.machine}</text>
${parts.join("\n")}
</svg>
`;
}
