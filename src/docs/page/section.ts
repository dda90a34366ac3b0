/** Some of the page, with what leads to it. */
export interface Section {
  /** Its anchor. */
  readonly id: string;
  readonly title: string;
  readonly html: string;
  readonly entries: readonly { readonly id: string; readonly label: string }[];
}
