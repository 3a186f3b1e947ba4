// Writes the reference of the API from the types that ship: what each entry exports, with its own words. It is made by every
// build and goes into the package as `dist/reference.md`, so it cannot fall behind.

import { join } from 'node:path';
import ts from 'typescript';

/** The reference of `entries` (name to source), whose declarations are below `types`. As Markdown. */
export function reference(entries, types) {
  const files = Object.entries(entries).map(([entry, source]) => [entry, join(types, `${source}.d.ts`)]);
  const program = ts.createProgram(
    files.map(([, file]) => file),
    {
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      module: ts.ModuleKind.ESNext,
      skipLibCheck: true,
      types: [],
    },
  );
  const checker = program.getTypeChecker();
  const told = new Set();
  const parts = ['# Reference', 'Made from the types by `npm run build`.'];
  for (const [entry, file] of files) {
    const source = program.getSourceFile(file);
    parts.push(`## \`tautline${entry === 'index' ? '' : `/${entry}`}\``, opening(source));
    const known = [];
    for (const symbol of checker.getExportsOfModule(checker.getSymbolAtLocation(source))) {
      const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
      const declarations = (target.declarations ?? []).filter((one) =>
        one.getSourceFile().fileName.startsWith(types),
      );
      // What several entries export is told once, under the first of them.
      if (declarations.every((one) => told.has(one))) known.push(symbol.name);
      else
        parts.push(
          section(
            symbol.name,
            declarations.filter((one) => !told.has(one)),
            told,
          ),
        );
    }
    if (known.length) parts.push(`And, as above: ${known.map((name) => `\`${name}\``).join(', ')}.`);
  }
  return `${parts.filter((part) => part).join('\n\n')}\n`;
}

/** What a module says of itself. */
function opening(source) {
  const [comment] = ts.getLeadingCommentRanges(source.text, 0) ?? [];
  return comment ? prose(source.text.slice(comment.pos, comment.end)) : '';
}

function section(name, declarations, told) {
  const words = [];
  const code = [];
  for (const declaration of declarations) {
    told.add(declaration);
    // A variable's comment stands before the statement that it is in.
    const whole = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration;
    const source = whole.getSourceFile();
    const comments = ts.getLeadingCommentRanges(source.text, whole.getFullStart()) ?? [];
    const last = comments[comments.length - 1];
    if (last) words.push(prose(source.text.slice(last.pos, last.end)));
    code.push(whole.getText().replace(/^export (declare )?/, ''));
  }
  return [`### ${name}`, ...words, `\`\`\`ts\n${code.join('\n')}\n\`\`\``].join('\n\n');
}

/** The text of a doc comment. */
function prose(comment) {
  return comment
    .replace(/^\/\*\*?|\*\/$/g, '')
    .replace(/^\s*\* ?/gm, '')
    .trim();
}
