// A text field that takes effect with Enter; Escape, or leaving it, brings the present value back.
import { useState } from "react";

interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly testId: string;
  readonly isLocked?: boolean;
  readonly onCommit: (value: string) => void;
}

export function Field({ label, value, testId, isLocked = false, onCommit }: FieldProps) {
  const [text, setText] = useState(value);
  const [known, setKnown] = useState(value);
  if (known !== value) {
    setKnown(value);
    setText(value);
  }
  return (
    <label className="field">
      <span>{label}</span>
      <input
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
        onBlur={() => setText(value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") setText(value);
          if (event.key !== "Enter" || event.nativeEvent.isComposing) return;
          event.preventDefault();
          onCommit(text);
        }}
      />
    </label>
  );
}
