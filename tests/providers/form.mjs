// The body of a request: as text, as the fields of a form.

export async function text({ req }) {
  const pieces = [];
  for await (const piece of req) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

export async function form(ctx) {
  return Object.fromEntries(new URLSearchParams(await text(ctx)));
}
