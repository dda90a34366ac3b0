/** A command as Redis reads it; the words are ASCII, so that bytes and characters are the same number. */
export function redisCommand(...words: string[]): string {
  let command = `*${words.length}\r\n`;
  for (const word of words) command += `$${word.length}\r\n${word}\r\n`;
  return command;
}
