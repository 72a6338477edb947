import { AuthorityError } from '#kernel';

/** Deeper than anything that a route takes. */
const MAX_DEPTH = 32;
/** Members and elements of the whole body: more than the smaller limit of a body has room for. */
const MAX_MEMBERS = 50_000;

const BACKSLASH = 0x5c;

/**
 * Looks at a body before it is parsed: a few MiB of brackets take the parser many seconds, in which it does nothing else, and what is deep
 * ends whatever walks it. Throws `malformed`. That it is JSON at all, the parser says.
 */
export function checkJsonShape(text: string): void {
  let depth = 0;
  let members = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '"':
        at = endOfString(text, at);
        break;
      case '[':
      case '{':
        depth++;
        members++;
        break;
      case ',':
        members++;
        break;
      case ']':
      case '}':
        depth--;
        break;
      default:
    }
    if (depth > MAX_DEPTH) throw new AuthorityError('malformed', `the body is nested deeper than ${MAX_DEPTH}`);
    if (members > MAX_MEMBERS) {
      throw new AuthorityError('malformed', `the body has more than ${MAX_MEMBERS} members and elements`);
    }
  }
}

/** Where the string that begins at `start` ends; without an end, that of the text. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let before = end - 1;
    while (text.charCodeAt(before) === BACKSLASH) before--;
    if ((end - before) % 2 === 1) return end;
  }
  return text.length;
}
