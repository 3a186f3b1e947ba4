// Tells whether what was built is what the sources give, so that it is built once for all that need it.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A digest of what is in these files and folders; a path that is not there counts, too. */
function digest(root, paths) {
  const hash = createHash('sha256').update(process.version);
  for (const path of paths) {
    const files = existsSync(join(root, path)) ? filesOf(root, path) : [];
    hash.update(`${path} ${files.length}\n`);
    for (const file of files) {
      const bytes = readFileSync(join(root, file));
      hash.update(`${file} ${bytes.length}\n`).update(bytes);
    }
  }
  return hash.digest('hex');
}

function filesOf(root, path) {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  return readdirSync(join(root, path))
    .sort()
    .flatMap((name) => filesOf(root, join(path, name)));
}

/** Remembers in `file` what was built of what. Whoever changes an input or an output has it built again. */
export class Stamp {
  constructor(root, file, inputs, outputs) {
    Object.assign(this, { root, file: join(root, file), inputs, outputs });
  }

  isFresh() {
    return existsSync(this.file) && readFileSync(this.file, 'utf8') === this.state();
  }

  write() {
    mkdirSync(dirname(this.file), { recursive: true });
    writeFileSync(this.file, this.state());
  }

  state() {
    return `${digest(this.root, this.inputs)} ${digest(this.root, this.outputs)}\n`;
  }
}
