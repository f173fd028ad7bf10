//! Names of subjects: `subject`, `:.context:subject`. The default context is `.`; `:.context:` alone stands for a context, and
//! `:.__GLOBAL:` for all of them.

/// The context of subjects that name none.
pub const DEFAULT_CONTEXT: &str = ".";
/// A prefix that stands for every context.
pub const ALL_CONTEXTS: &str = ":*:";
const GLOBAL_CONTEXT: &str = ".__GLOBAL";
/// The settings that hold where neither a subject nor its context nor the registry has any.
pub const GLOBAL: &str = ":.__GLOBAL:";

/// A name taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Qualified<'a> {
    /// `.` or `.context`.
    pub context: &'a str,
    /// Without the context; empty for a context itself.
    pub name: &'a str,
}

impl<'a> Qualified<'a> {
    pub fn parse(subject: &'a str) -> Qualified<'a> {
        let Some(rest) = subject.strip_prefix(':').filter(|rest| rest.starts_with('.')) else {
            return Qualified { context: DEFAULT_CONTEXT, name: subject };
        };
        let (context, name) = rest.split_once(':').unwrap_or((rest, ""));
        Qualified { context, name }
    }

    pub fn is_default(&self) -> bool {
        self.context == DEFAULT_CONTEXT
    }

    /// The one way to write it: the default context is left out.
    pub fn join(&self) -> String {
        qualify(self.context, self.name)
    }
}

/// `name` in a context.
pub fn qualify(context: &str, name: &str) -> String {
    match context {
        DEFAULT_CONTEXT => name.to_owned(),
        _ => format!(":{context}:{name}"),
    }
}

/// The name as it is kept: `:.:a` is `a`.
pub fn normalize(subject: &str) -> String {
    Qualified::parse(subject).join()
}

/// The context's name as its subjects have it before their own: empty for the default one.
pub fn context_prefix(subject: &str) -> String {
    qualify(Qualified::parse(subject).context, "")
}

/// A subject that is referred to from within `parent`: in its context, unless it names one.
pub fn within(parent: &str, subject: &str) -> String {
    let own = Qualified::parse(subject);
    match own.is_default() {
        true => qualify(Qualified::parse(parent).context, own.name),
        false => own.join(),
    }
}

/// `name`, `.name` or `:.name:` as a context's name.
pub fn context_name(text: &str) -> String {
    let inner = text.strip_prefix(':').unwrap_or(text);
    let inner = inner.strip_suffix(':').unwrap_or(inner);
    match inner.starts_with('.') {
        true => inner.to_owned(),
        false => format!(".{inner}"),
    }
}

/// Whether schemas may be registered under it.
pub fn is_valid(subject: &str) -> bool {
    let Qualified { context, name } = Qualified::parse(subject);
    has_no_control(subject) && name != "__GLOBAL" && name != "__EMPTY" && context != GLOBAL_CONTEXT
}

/// Whether settings may be made for it.
pub fn is_valid_for_settings(subject: &str) -> bool {
    let name = Qualified::parse(subject).name;
    has_no_control(subject) && name != "__GLOBAL" && name != "__EMPTY"
}

fn has_no_control(subject: &str) -> bool {
    !subject.chars().any(char::is_control)
}

/// Whether a subject is what is asked for: itself, one of the context that is named, or any.
pub fn matches(asked: Option<&str>, subject: &str) -> bool {
    let Some(asked) = asked else { return true };
    if asked == subject {
        return true;
    }
    let of = Qualified::parse(asked);
    of.name.is_empty() && (of.context == GLOBAL_CONTEXT || of.context == Qualified::parse(subject).context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_in_one_way() {
        for (given, context, name, kept) in [
            ("a", ".", "a", "a"),
            (":.:a", ".", "a", "a"),
            (":.ctx:a", ".ctx", "a", ":.ctx:a"),
            (":.ctx:a:b", ".ctx", "a:b", ":.ctx:a:b"),
            (":.ctx:", ".ctx", "", ":.ctx:"),
            (":.ctx", ".ctx", "", ":.ctx:"),
            (":ctx:a", ".", ":ctx:a", ":ctx:a"),
            (":.:", ".", "", ""),
            ("", ".", "", ""),
        ] {
            assert_eq!(Qualified::parse(given), Qualified { context, name }, "{given}");
            assert_eq!(normalize(given), kept, "{given}");
        }
    }

    #[test]
    fn a_reference_stays_in_its_context() {
        assert_eq!(within("a", "b"), "b");
        assert_eq!(within(":.ctx:a", "b"), ":.ctx:b");
        assert_eq!(within(":.ctx:a", ":.other:b"), ":.other:b");
    }

    #[test]
    fn a_context_stands_for_its_subjects() {
        assert!(matches(None, ":.ctx:a"));
        assert!(matches(Some(":.ctx:"), ":.ctx:a"));
        assert!(!matches(Some(":.ctx:"), "a"));
        assert!(matches(Some(""), "a"));
        assert!(!matches(Some(""), ":.ctx:a"));
        assert!(matches(Some(GLOBAL), ":.ctx:a"));
        assert!(!matches(Some("a"), "ab"));
    }
}
