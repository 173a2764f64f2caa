// A text field that takes effect with Enter or its button; Escape, or leaving it, brings the present value back.
import { useId, useRef, useState } from "react";

interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly testId: string;
  /** The word on the button. */
  readonly action: string;
  readonly isLocked?: boolean;
  readonly onCommit: (value: string) => void;
}

export function Field({ label, value, testId, action, isLocked = false, onCommit }: FieldProps) {
  const [text, setText] = useState(value);
  const [known, setKnown] = useState(value);
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  if (known !== value) {
    setKnown(value);
    setText(value);
  }
  const leave = (to: EventTarget | null, field: HTMLElement) => {
    if (!(to instanceof Node && field.contains(to))) setText(value);
  };
  const commit = () => {
    onCommit(text);
    // The button goes with the difference; focus stays here.
    input.current?.focus();
  };
  return (
    <div className="field" onBlur={(event) => leave(event.relatedTarget, event.currentTarget)}>
      <label htmlFor={id}>{label}</label>
      <div className="entry">
        <input
          ref={input}
          id={id}
          data-testid={testId}
          value={text}
          readOnly={isLocked}
          maxLength={128}
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          enterKeyHint="go"
          onChange={(event) => setText(event.target.value)}
          onFocus={(event) => event.target.select()}
          onKeyDown={(event) => {
            if (event.key === "Escape") setText(value);
            if (event.key !== "Enter" || event.nativeEvent.isComposing) return;
            event.preventDefault();
            if (text.trim() === "") setText(value);
            else onCommit(text);
          }}
        />
        {text.trim() !== "" && text !== value && <button type="button" onClick={commit}>{action}</button>}
      </div>
    </div>
  );
}
