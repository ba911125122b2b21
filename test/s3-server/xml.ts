/** An element to write: its name and its text or children. `undefined` leaves the element out. */
export type XmlElement = readonly [
  name: string,
  content: string | number | boolean | undefined | readonly XmlElement[],
];

/** An element that was read. */
export interface XmlNode {
  readonly name: string;
  text: string;
  readonly children: XmlNode[];
}

export const XML_PROLOG = '<?xml version="1.0" encoding="UTF-8"?>\n';

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

// Carriage returns would be turned into line feeds by a reader, and other control characters are errors;
// S3 writes both as character references.
function escapeText(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[&<>"\u0000-\u001f]/g, (char) => {
    if (char === '&') return '&amp;';
    if (char === '<') return '&lt;';
    if (char === '>') return '&gt;';
    if (char === '"') return '&quot;';
    return char === '\n' || char === '\t' ? char : `&#x${char.charCodeAt(0).toString(16)};`;
  });
}

function writeElement([name, content]: XmlElement, attributes: string): string {
  if (content === undefined) return '';
  const inner =
    typeof content === 'object'
      ? content.map((child) => writeElement(child, '')).join('')
      : escapeText(String(content));
  return `<${name}${attributes}>${inner}</${name}>`;
}

/** Writes a document. S3 puts its answers, but not its errors, into a namespace. */
export function writeXml(root: XmlElement, namespace: 's3' | 'none' = 's3'): string {
  return XML_PROLOG + writeElement(root, namespace === 's3' ? ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"' : '');
}

function unescapeText(text: string): string {
  return text.replace(/&(#x?[0-9a-fA-F]+|\w+);/g, (whole, entity: string) => {
    if (entity.startsWith('#x')) return String.fromCodePoint(parseInt(entity.slice(2), 16));
    if (entity.startsWith('#')) return String.fromCodePoint(parseInt(entity.slice(1), 10));
    return ENTITIES[entity] ?? whole;
  });
}

/**
 * Reads the XML that S3 clients send: elements and text; attributes, comments and prologs are skipped.
 * Returns `undefined` if the document is not well formed.
 */
export function readXml(text: string): XmlNode | undefined {
  const document: XmlNode = { name: '', text: '', children: [] };
  const open: XmlNode[] = [document];
  const token = /<\?[\s\S]*?\?>|<!--[\s\S]*?-->|<(\/?)([^\s/>]+)[^>]*?(\/?)>|([^<]+)/y;
  while (token.lastIndex < text.length) {
    const match = token.exec(text);
    if (!match) return undefined;
    const [, slash, rawName, selfClosed, characters] = match;
    const parent = open.at(-1)!;
    if (characters !== undefined) parent.text += unescapeText(characters);
    if (rawName === undefined) continue;
    const name = rawName.replace(/^.*:/, '');
    if (slash) {
      if (open.length === 1 || parent.name !== name) return undefined;
      open.pop();
      continue;
    }
    const node: XmlNode = { name, text: '', children: [] };
    parent.children.push(node);
    if (!selfClosed) open.push(node);
  }
  return open.length === 1 && document.children.length === 1 ? document.children[0] : undefined;
}

export function childrenNamed(node: XmlNode, name: string): XmlNode[] {
  return node.children.filter((child) => child.name === name);
}

export function childText(node: XmlNode, name: string): string | undefined {
  return node.children.find((child) => child.name === name)?.text;
}
