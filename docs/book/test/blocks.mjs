/** The code blocks of a page, each with the directive in the comment before it: `<!-- run -->`, `<!-- file: app.js -->`. */

const DIRECTIVE = /^<!-- (run|serve|output|file|mini|page|sketch)(?:: (.*?))? -->$/;

/**
 * `run` is executed in the folder of the page, `serve` goes on until the page ends, `output` is what the block before has
 * printed (`…` stands for anything), `file` is written to the folder, `mini` is the code of a mini program, and `page` a web
 * page: of both, the text behind the colon is what they must print. `sketch` runs nowhere and says why.
 */
export function blocksOf(text) {
  const lines = text.split('\n');
  const blocks = [];
  let directive;
  for (let at = 0; at < lines.length; at++) {
    const found = DIRECTIVE.exec(lines[at].trim());
    if (found) directive = { kind: found[1], argument: found[2] };
    if (!lines[at].startsWith('```')) {
      if (lines[at].trim() && !found) directive = undefined;
      continue;
    }
    const end = lines.indexOf('```', at + 1);
    if (end < 0) throw new Error(`line ${at + 1}: a block that does not end`);
    blocks.push({
      line: at + 1,
      language: lines[at].slice(3).trim(),
      kind: directive?.kind,
      argument: directive?.argument,
      text: lines.slice(at + 1, end).join('\n') + '\n',
    });
    directive = undefined;
    at = end;
  }
  return blocks;
}

/** What both languages have in common: a block without its comments, which are translated. */
export function withoutComments({ language, kind, argument, text }) {
  const bare = text
    .replace(/<!--.*?-->/gs, '')
    .replace(/(^|\s)(#|\/\/)\s.*$/gm, '')
    .replace(/[ \t]+$/gm, '')
    .replace(/\n+/g, '\n');
  return { language, kind, argument, bare };
}

/** Whether `printed` has the whole lines of `expected`, one after the other, with anything in the places of `…`. */
export function matches(printed, expected) {
  const escaped = (line) => line.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*');
  const whole = (line) => `^[ \\t]*${escaped(line.trim())}[ \\t]*$`;
  // Lines of `…` alone stand for any number of lines, also none.
  const parts = expected.trim().split(/(?:^|\n)[ \t]*…[ \t]*(?=\n|$)/);
  const block = (part) => (part.trim() ? part.trim().split('\n').map(whole).join('\\n') : '');
  return new RegExp(parts.map(block).join('[^]*?'), 'm').test(printed);
}
