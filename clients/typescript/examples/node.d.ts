// What the examples use of Node's types; a project of your own has `@types/node`.

declare const process: {
  readonly env: Record<string, string | undefined>;
  readonly argv: string[];
  readonly stdout: { write(text: string): boolean };
};
