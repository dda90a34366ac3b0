/** Exit codes of the process. */
export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;
/** EX_CONFIG of sysexits(3): starting again does not help. */
export const EXIT_CONFIG = 78;
