// Reads code, for the steps of the build that rewrite it: what is where, and which variable a name means.

import { parse } from 'acorn';

/** The tree of a module. */
export function treeOf(code) {
  return parse(code, { ecmaVersion: 2020, sourceType: 'module' });
}

/** Calls `visit` with each node, its parent and its key there, from the outside in; not inside of what `visit` says `false` to. */
export function walk(node, visit, parent, key) {
  if (visit(node, parent, key) === false) return;
  for (const [name, child] of Object.entries(node)) {
    for (const one of [child].flat()) if (one && typeof one.type === 'string') walk(one, visit, node, name);
  }
}

/** `code` with some of its parts replaced: `[start, end, text]` each, none inside of another. */
export function edited(code, edits) {
  const parts = [];
  let at = 0;
  for (const [start, end, text] of [...edits].sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
    parts.push(code.slice(at, start), text);
    at = end;
  }
  return parts.join('') + code.slice(at);
}

export function isFunction(node) {
  return node.type === 'FunctionDeclaration' || node.type === 'FunctionExpression';
}

/**
 * Every variable of a module in ES5: where it stands (`places`), which others must not bear its name (`foes`), and a `key`
 * that survives small changes of the code: the names of the functions round it, then its own. Also names that are nobody's
 * variable: the globals.
 */
export function variablesOf(program) {
  const variables = [];
  const globals = new Set();
  const keys = new Map();

  function scope(node, parent, path) {
    const own = new Map();
    const it = { own, parent };
    const inner = [];
    const names = [];
    const shared = new Map();
    function declare({ name }) {
      if (own.has(name)) return;
      const path_ = `${path}${name}`;
      const same = (keys.get(path_) ?? 0) + 1;
      keys.set(path_, same);
      const variable = { key: same > 1 ? `${path_}#${same}` : path_, name, places: [], scopes: new Set([it]), foes: new Set() };
      own.set(name, variable);
      variables.push(variable);
    }
    if (node.id && node.type === 'FunctionExpression') declare(node.id);
    (node.params ?? []).forEach(declare);
    const roots = [...(node.params ?? []), node.id && node.type === 'FunctionExpression' ? node.id : undefined, ...[node.body].flat()];
    for (const root of roots.filter(Boolean)) {
      walk(root, (one, above, key) => {
        if (isFunction(one)) {
          if (one.type === 'FunctionDeclaration') {
            declare(one.id);
            names.push(one.id);
          }
          inner.push(one);
          return false;
        }
        if (one.type === 'VariableDeclarator') declare(one.id);
        // Its own scope is the block; taking the whole function for it errs on the safe side.
        if (one.type === 'CatchClause') declare(one.param);
        if (/^Import.*Specifier$/.test(one.type)) declare(one.local);
        if (one.type === 'Identifier' && isVariable(one, above, key)) names.push(one);
        // `export {a}` has both of its names in one place.
        if (/^(Ex|Im)portSpecifier$/.test(one.type) && one.local.start === (one.exported ?? one.imported).start) shared.set(one.local, one.type);
        return undefined;
      });
    }
    for (const id of names) {
      let where = it;
      const passed = [];
      while (where && !where.own.has(id.name)) {
        passed.push(where);
        where = where.parent;
      }
      if (!where) {
        globals.add(id.name);
        continue;
      }
      const variable = where.own.get(id.name);
      variable.places.push({ start: id.start, end: id.end, shared: shared.get(id) });
      passed.forEach((one) => variable.scopes.add(one));
    }
    inner.forEach((one) => scope(one, it, `${path}${one.id ? one.id.name : ''}/`));
  }
  scope(program, undefined, '');
  // Wherever a variable is used, or on the way there, no other may be declared by its name.
  for (const variable of variables) {
    for (const { own } of variable.scopes) {
      for (const other of own.values()) {
        if (other === variable) continue;
        variable.foes.add(other);
        other.foes.add(variable);
      }
    }
  }
  return { variables, globals };
}

function isVariable(id, above, key) {
  if (!above) return true;
  if (above.type === 'MemberExpression') return key === 'object' || above.computed;
  if (above.type === 'Property') return key === 'value';
  if (above.type === 'ExportSpecifier' || above.type === 'ImportSpecifier') return key === 'local';
  return !/^(Labeled|Break|Continue)Statement$/.test(above.type);
}
