import { derHeader } from '#pki';

/** A DER element as a tree, so that mutants of it are well-formed DER and reach what reads it. */
interface Node {
  tag: number;
  content: Buffer | Node[];
}

function parse(bytes: Buffer, from = 0, to = bytes.length): Node[] {
  const nodes: Node[] = [];
  for (let at = from; at < to;) {
    const tag = bytes[at] as number;
    let start = at + 2;
    let length = bytes[at + 1] as number;
    if (length >= 0x80) {
      const octets = length & 0x7f;
      length = bytes.readUIntBE(start, octets);
      start += octets;
    }
    const constructed = (tag & 0x20) !== 0;
    nodes.push({
      tag,
      content: constructed ? parse(bytes, start, start + length) : bytes.subarray(start, start + length),
    });
    at = start + length;
  }
  return nodes;
}

function encode({ tag, content }: Node): Buffer {
  const inner = Buffer.isBuffer(content) ? content : Buffer.concat(content.map(encode));
  return Buffer.concat([derHeader(tag, inner.length), inner]);
}

function all(node: Node, found: Node[] = []): Node[] {
  found.push(node);
  if (!Buffer.isBuffer(node.content)) for (const child of node.content) all(child, found);
  return found;
}

const TAGS = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0a, 0x0c, 0x13, 0x17, 0x30, 0x31, 0x80, 0xa0, 0xa1, 0xa3];

/** One to three edits of the tree: a child gone, doubled, moved or from elsewhere, another tag, other octets. */
export function mutateDer(bytes: Buffer, below: (bound: number) => number): Buffer {
  const [root] = parse(bytes);
  if (root === undefined) return bytes;
  for (let edits = 1 + below(3); edits > 0; edits--) {
    const nodes = all(root);
    const node = nodes[below(nodes.length)] as Node;
    if (below(5) === 0) {
      node.tag = TAGS[below(TAGS.length)] as number;
      if (((node.tag & 0x20) !== 0) === Buffer.isBuffer(node.content)) {
        node.content = Buffer.isBuffer(node.content) ? [] : Buffer.concat(node.content.map(encode));
      }
    } else if (Buffer.isBuffer(node.content)) {
      node.content = editOctets(Buffer.from(node.content), below);
    } else {
      editChildren(node.content, nodes, below);
    }
  }
  return encode(root);
}

function editOctets(octets: Buffer, below: (bound: number) => number): Buffer {
  if (octets.length === 0) return Buffer.of(below(256));
  switch (below(4)) {
    case 0:
      return octets.subarray(0, below(octets.length));
    case 1:
      return Buffer.concat([octets, octets]);
    default:
      octets[below(octets.length)] = below(256);
      return octets;
  }
}

function editChildren(children: Node[], nodes: Node[], below: (bound: number) => number): void {
  const at = below(children.length + 1);
  const other = nodes[below(nodes.length)] as Node;
  switch (below(4)) {
    case 0:
      children.splice(at, 1);
      break;
    case 1:
      if (children[at]) children.push(children[at]);
      break;
    case 2:
      children.reverse();
      break;
    default:
      // A copy: an element inside itself would have no end.
      children.splice(at, 0, ...parse(encode(other)));
  }
}
