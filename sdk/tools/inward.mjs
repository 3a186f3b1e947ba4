// Moves the session's functions into the session.
//
// In the source they are functions in many files over one state, `function ping(s: Session)`: easy to read and to test. In
// what ships each of them stands inside the constructor, the state's fields are variables there, and neither is passed about:
// `s.silence_ = cause` becomes `silence = cause`, and `ping(s)` becomes `ping()`. That is 6 % of a line's code.
//
// It rests on a habit of the source that is checked here: the first parameter of such a function is named `s`, and `s` is
// only ever asked for a field or passed on as the first argument. Whatever else is done with it ends the build.

import { edited, treeOf, walk } from './syntax.mjs';

/** `code` with its class `Session`, if it has one, made so. `kept`: fields that are read by other files, and stay fields. */
export function inward(code, kept) {
  const program = treeOf(code);
  const variable = (name) => program.body.find((node) => node.type === 'VariableDeclaration' && node.declarations[0].id.name === name);
  const session = variable('Session');
  if (!session) return code;
  const inputs = variable('INPUTS');
  const functions = program.body.filter((node) => node.type === 'FunctionDeclaration' && isSession(node.params[0]));
  const [constructor, ...rest] = session.declarations[0].init.callee.body.body;
  const methods = rest.filter((node) => node.type === 'ExpressionStatement').map((node) => node.expression);
  const fields = new Set();
  const edits = [];

  for (const root of [...functions, constructor.body, ...methods.map((method) => method.right)]) {
    walk(root, (node, parent, key) => {
      if (!isSession(node)) return;
      if (parent.type === 'MemberExpression' && key === 'object') {
        const { name } = parent.property;
        if (!kept.has(name)) fields.add(name);
        if (kept.has(name)) edits.push([node.start, node.end, '$s']);
        else edits.push([parent.start, parent.end, `$s_${name.replace(/_$/, '')}`]);
      } else if (parent.arguments?.[0] === node) without(node, parent.arguments[1]);
      else if (root.params?.[0] === node) without(node, root.params[1]);
      else throw new Error(`inward.mjs: what is done with the session here? ${code.slice(parent.start, parent.end)}`);
    });
  }
  function without(first, second) {
    edits.push([first.start, second ? second.start : first.end, '']);
  }

  const textOf = ({ start, end }) => {
    const inside = edits.filter((edit) => edit[0] >= start && edit[1] <= end);
    return edited(code.slice(start, end), inside.map(([from, to, text]) => [from - start, to - start, text]));
  };
  const body = [
    'var $s = this;',
    ...[...fields].map((field) => `var $s_${field.replace(/_$/, '')};`),
    ...functions.map(textOf),
    textOf(inputs),
    ...constructor.body.body.map(textOf),
    ...methods.map(({ left, right }) => `$s.${left.property.name} = ${textOf(right)};`),
  ];
  const parameters = constructor.params.map(({ name }) => name).join();
  const moved = new Map([...functions, inputs].map((node) => [node, '']));
  moved.set(session, `function Session(${parameters}) {\n${body.join('\n')}\n}`);
  return edited(code, [...moved].map(([{ start, end }, text]) => [start, end, text]));
}

function isSession(node) {
  return node?.type === 'ThisExpression' || (node?.type === 'Identifier' && node.name === 's');
}
