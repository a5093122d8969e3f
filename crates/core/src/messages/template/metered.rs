//! Rewrites the expressions of a template so that their operators pay for what they touch.
//!
//! The engine's own operators compare, search, join and cut texts of any length in a single step.
//! So their operands go through the filter [`PAY`] here, which takes their length from the letter's
//! budget: `a == b` becomes `(a|__pay == b|__pay)`. The result of a template does not change.
//!
//! A message is also tried with all its branches, before anything is sent: conditions are computed
//! and then ignored, and whatever an operator would choose from is computed ([`Reading::All`]).
//!
//! *Invariants*: authors cannot use these filters, because they are not in [`super::filters`]'s
//! list of names. Lines keep their numbers.

use minijinja::machinery::ast::{
    BinOpKind, CallArg, Compare, CompareOpKind, Expr, Slice, UnaryOpKind,
};
use minijinja::machinery::parse_expr;

use super::TemplateError;
use super::scan::{TagToken, TemplateToken, TokenKind, words};

/// Passes a value on and pays for its length.
pub(super) const PAY: &str = "__pay";
/// Joins two values as `~` does.
pub(super) const JOIN: &str = "__join";
/// The longest of several values.
pub(super) const LONGEST: &str = "__longest";
/// Nothing, whatever the value.
pub(super) const NOTHING: &str = "__nothing";
/// A short list to try a loop with.
pub(super) const FEW: &str = "__few";

/// Which parts of a template are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Those that conditions choose.
    Chosen,
    /// All, to learn what they cost.
    All,
}

/// The template with expressions that pay. Tags that the engine will refuse stay as they are.
pub(super) fn metered(
    pieces: &[TemplateToken<'_>],
    reading: Reading,
) -> Result<String, TemplateError> {
    let mut out = String::new();
    for piece in pieces {
        let written = match piece.kind {
            TokenKind::Text | TokenKind::Comment => None,
            TokenKind::Value => value(piece, reading),
            TokenKind::Block => block(piece, reading)?,
        };
        let Some(written) = written else {
            out.push_str(piece.source);
            continue;
        };
        out.push_str(&written);
        if reading == Reading::Chosen {
            // the end of the tag stays in its line
            let end = out.len() - tag_end(piece).len();
            let lines = piece.source.matches('\n').count();
            let lines = lines.saturating_sub(written.matches('\n').count());
            out.insert_str(end, &"\n".repeat(lines));
        }
    }
    Ok(out)
}

/// The opening delimiter with its white space control.
fn tag_start<'s>(piece: &TemplateToken<'s>) -> &'s str {
    let controlled = piece.source[2..].starts_with(['-', '+']);
    &piece.source[..if controlled { 3 } else { 2 }]
}

/// The closing delimiter with its white space control.
fn tag_end<'s>(piece: &TemplateToken<'s>) -> &'s str {
    let end = piece.source.len() - 2;
    let inner = &piece.source[tag_start(piece).len()..end];
    &piece.source[end - usize::from(inner.ends_with(['-', '+']))..]
}

fn inner<'s>(piece: &TemplateToken<'s>) -> &'s str {
    let (start, end) = (tag_start(piece).len(), tag_end(piece).len());
    &piece.source[start..piece.source.len() - end]
}

fn value(piece: &TemplateToken<'_>, reading: Reading) -> Option<String> {
    let written = rewritten(inner(piece), reading, Place::Alone)?;
    Some(format!("{} {written} {}", tag_start(piece), tag_end(piece)))
}

fn block(piece: &TemplateToken<'_>, reading: Reading) -> Result<Option<String>, TemplateError> {
    let words = words(piece)?;
    let Some(TagToken::Name(keyword)) = words.first().copied() else {
        return Ok(None);
    };
    let inner = inner(piece);
    let (start, end) = (tag_start(piece), tag_end(piece));
    let at = |word: &str| word.as_ptr().addr() - inner.as_ptr().addr();
    let rest = &inner[at(keyword) + keyword.len()..];
    Ok(match (keyword, reading) {
        ("if" | "elif", Reading::Chosen) => rewritten(rest, reading, Place::Condition)
            .map(|condition| format!("{start} {keyword} {condition} {end}")),
        ("if" | "elif", Reading::All) => rewritten(rest, reading, Place::Condition)
            .map(|condition| format!("{{{{ {condition}|{NOTHING} }}}}")),
        ("else" | "endif", Reading::All) => Some(String::new()),
        ("for", _) => for_loop(&words, inner, reading).map(|(head, condition)| {
            let head = format!("{start} for {head}");
            match (condition, reading) {
                (None, _) => format!("{head} {end}"),
                (Some(condition), Reading::Chosen) => format!("{head} if {condition} {end}"),
                (Some(condition), Reading::All) => {
                    format!("{head} {end}{{{{ {condition}|{NOTHING} }}}}")
                }
            }
        }),
        _ => None,
    })
}

/// `x in items` and the condition of a loop.
fn for_loop(
    words: &[TagToken<'_>],
    inner: &str,
    reading: Reading,
) -> Option<(String, Option<String>)> {
    let at = |word: &str| word.as_ptr().addr() - inner.as_ptr().addr();
    let mut depth = 0_usize;
    let (mut within, mut condition) = (None, None);
    for word in words.iter().skip(1) {
        match word {
            TagToken::Sign('(' | '[') => depth += 1,
            TagToken::Sign(')' | ']') => depth = depth.saturating_sub(1),
            TagToken::Name(word @ "in") if within.is_none() => within = Some(at(word)),
            TagToken::Name(word @ "if")
                if depth == 0 && within.is_some() && condition.is_none() =>
            {
                condition = Some(at(word));
            }
            _ => {}
        }
    }
    let within = within?;
    let target = inner.get(..within)?.trim_start().strip_prefix("for")?;
    let items = inner.get(within + 2..condition.unwrap_or(inner.len()))?;
    let items = rewritten(items, reading, Place::Items)?;
    let condition = match condition {
        Some(at) => Some(rewritten(&inner[at + 2..], reading, Place::Alone)?),
        None => None,
    };
    Some((format!("{} in {items}", target.trim()), condition))
}

/// Where an expression is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Alone,
    /// After `if`: not itself a choice between two.
    Condition,
    /// What a loop goes through.
    Items,
}

/// `None` if the engine refuses the expression.
fn rewritten(source: &str, reading: Reading, place: Place) -> Option<String> {
    let expression = parse_expr(source).ok()?;
    if place != Place::Alone && matches!(expression, Expr::IfExpr(_)) {
        return None;
    }
    let writer = Writer { source, reading };
    let mut out = String::new();
    match (place, reading) {
        (Place::Items, Reading::Chosen) => writer.paid(&mut out, &expression)?,
        (Place::Items, Reading::All) => {
            writer.expression(&mut out, &expression)?;
            filter(&mut out, FEW);
        }
        (Place::Alone | Place::Condition, _) => {
            writer.expression(&mut out, &expression)?;
        }
    }
    Some(out)
}

fn filter(out: &mut String, name: &str) {
    out.push('|');
    out.push_str(name);
}

/// What may follow an expression as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Anything.
    Closed,
    /// Another filter; anything else would belong to the filter's name, or to the number.
    Filtered,
}

struct Writer<'s> {
    source: &'s str,
    reading: Reading,
}

impl Writer<'_> {
    fn expression(&self, out: &mut String, expression: &Expr<'_>) -> Option<Shape> {
        let all = self.reading == Reading::All;
        match expression {
            Expr::Var(var) => out.push_str(var.id),
            Expr::Const(_) => {
                let span = expression.span();
                let range = span.start_offset as usize..span.end_offset as usize;
                out.push_str(self.source.get(range)?);
                return Some(Shape::Filtered);
            }
            Expr::GetAttr(get) => {
                self.closed(out, &get.expr)?;
                out.push('.');
                out.push_str(get.name);
            }
            Expr::GetItem(get) => {
                self.closed(out, &get.expr)?;
                out.push('[');
                self.expression(out, &get.subscript_expr)?;
                out.push(']');
            }
            Expr::Slice(slice) => return self.slice(out, slice),
            Expr::UnaryOp(unary) if all => return self.expression(out, &unary.expr),
            Expr::UnaryOp(unary) => {
                match unary.op {
                    UnaryOpKind::Not => {
                        out.push_str("(not ");
                        self.expression(out, &unary.expr)?;
                    }
                    // a filter behind it would belong to the negative number
                    UnaryOpKind::Neg => {
                        out.push_str("(-");
                        self.closed(out, &unary.expr)?;
                    }
                }
                out.push(')');
            }
            Expr::BinOp(binary) => return self.binary(out, binary.op, &binary.left, &binary.right),
            Expr::Compare(compare) => return self.comparison(out, compare),
            Expr::IfExpr(choice) => {
                let (yes, test) = (&choice.true_expr, &choice.test_expr);
                if all {
                    let other = choice.false_expr.as_ref();
                    return self.longest(out, [yes, test].into_iter().chain(other));
                }
                out.push('(');
                self.expression(out, yes)?;
                out.push_str(" if ");
                self.expression(out, test)?;
                if let Some(other) = &choice.false_expr {
                    out.push_str(" else ");
                    self.expression(out, other)?;
                }
                out.push(')');
            }
            Expr::Filter(one) => {
                self.expression(out, one.expr.as_ref()?)?;
                filter(out, one.name);
                self.arguments(out, &one.args)?;
                return Some(Shape::Filtered);
            }
            Expr::Test(test) => {
                out.push('(');
                self.expression(out, &test.expr)?;
                out.push_str(" is ");
                out.push_str(test.name);
                self.arguments(out, &test.args)?;
                out.push(')');
            }
            Expr::List(list) => {
                out.push('[');
                self.items(out, list.items.iter())?;
                out.push(']');
            }
            Expr::Tuple(tuple) => {
                out.push('(');
                self.items(out, tuple.items.iter())?;
                out.push_str(if tuple.items.len() == 1 { ",)" } else { ")" });
            }
            // the sandbox has neither
            Expr::Call(_) | Expr::Map(_) => return None,
        }
        Some(Shape::Closed)
    }

    fn slice(&self, out: &mut String, slice: &Slice<'_>) -> Option<Shape> {
        let bounds = [&slice.start, &slice.stop, &slice.step];
        if self.reading == Reading::All {
            let bounds = bounds.into_iter().flatten();
            return self.longest(out, std::iter::once(&slice.expr).chain(bounds));
        }
        out.push('(');
        self.paid(out, &slice.expr)?;
        out.push_str(")[");
        for (number, bound) in bounds.into_iter().enumerate() {
            if number == 1 || (number == 2 && bound.is_some()) {
                out.push(':');
            }
            if let Some(bound) = bound {
                self.expression(out, bound)?;
            }
        }
        out.push(']');
        Some(Shape::Closed)
    }

    fn comparison(&self, out: &mut String, compare: &Compare<'_>) -> Option<Shape> {
        if self.reading == Reading::All {
            let operands = compare.ops.iter().map(|op| &op.expr);
            return self.longest(out, std::iter::once(&compare.expr).chain(operands));
        }
        out.push('(');
        self.paid(out, &compare.expr)?;
        for op in &compare.ops {
            out.push_str(match op.op {
                CompareOpKind::Eq => " == ",
                CompareOpKind::Ne => " != ",
                CompareOpKind::Lt => " < ",
                CompareOpKind::Lte => " <= ",
                CompareOpKind::Gt => " > ",
                CompareOpKind::Gte => " >= ",
                CompareOpKind::In => " in ",
                CompareOpKind::NotIn => " not in ",
            });
            self.paid(out, &op.expr)?;
        }
        out.push(')');
        Some(Shape::Closed)
    }

    fn binary(
        &self,
        out: &mut String,
        op: BinOpKind,
        left: &Expr<'_>,
        right: &Expr<'_>,
    ) -> Option<Shape> {
        let all = self.reading == Reading::All;
        if matches!(op, BinOpKind::Concat) || (all && matches!(op, BinOpKind::Add)) {
            self.expression(out, left)?;
            filter(out, JOIN);
            out.push('(');
            self.expression(out, right)?;
            out.push(')');
            return Some(Shape::Filtered);
        }
        if all {
            return self.longest(out, [left, right].into_iter());
        }
        let sign = sign(op);
        out.push('(');
        if matches!(op, BinOpKind::ScAnd | BinOpKind::ScOr) {
            self.chain(out, op, left)?;
            out.push_str(sign);
            self.expression(out, right)?;
        } else {
            self.paid(out, left)?;
            out.push_str(sign);
            self.paid(out, right)?;
        }
        out.push(')');
        Some(Shape::Closed)
    }

    /// `a and b and c` without brackets, so that a long condition is not deeply nested.
    fn chain(&self, out: &mut String, op: BinOpKind, expression: &Expr<'_>) -> Option<()> {
        match expression {
            Expr::BinOp(binary) if sign(binary.op) == sign(op) => {
                self.chain(out, op, &binary.left)?;
                out.push_str(sign(op));
                self.expression(out, &binary.right)?;
            }
            other => {
                self.expression(out, other)?;
            }
        }
        Some(())
    }

    /// An expression that anything may follow.
    fn closed(&self, out: &mut String, expression: &Expr<'_>) -> Option<()> {
        let from = out.len();
        if self.expression(out, expression)? == Shape::Filtered {
            out.insert(from, '(');
            out.push(')');
        }
        Some(())
    }

    /// An operand that pays for its length, unless the author wrote it out.
    fn paid(&self, out: &mut String, expression: &Expr<'_>) -> Option<()> {
        self.expression(out, expression)?;
        if !matches!(expression, Expr::Const(_)) {
            filter(out, PAY);
        }
        Some(())
    }

    fn longest<'e>(
        &self,
        out: &mut String,
        expressions: impl Iterator<Item = &'e Expr<'e>>,
    ) -> Option<Shape> {
        out.push('[');
        self.items(out, expressions)?;
        out.push(']');
        filter(out, LONGEST);
        Some(Shape::Filtered)
    }

    fn items<'e>(&self, out: &mut String, items: impl Iterator<Item = &'e Expr<'e>>) -> Option<()> {
        for (number, item) in items.enumerate() {
            if number > 0 {
                out.push_str(", ");
            }
            self.expression(out, item)?;
        }
        Some(())
    }

    fn arguments(&self, out: &mut String, arguments: &[CallArg<'_>]) -> Option<()> {
        for (number, argument) in arguments.iter().enumerate() {
            out.push_str(if number == 0 { "(" } else { ", " });
            match argument {
                CallArg::Pos(value) => self.expression(out, value)?,
                CallArg::Kwarg(name, value) => {
                    out.push_str(name);
                    out.push('=');
                    self.expression(out, value)?
                }
                // the sandbox refuses asterisks
                CallArg::PosSplat(_) | CallArg::KwargSplat(_) => return None,
            };
        }
        if !arguments.is_empty() {
            out.push(')');
        }
        Some(())
    }
}

const fn sign(op: BinOpKind) -> &'static str {
    match op {
        BinOpKind::Eq => " == ",
        BinOpKind::Ne => " != ",
        BinOpKind::Lt => " < ",
        BinOpKind::Lte => " <= ",
        BinOpKind::Gt => " > ",
        BinOpKind::Gte => " >= ",
        BinOpKind::ScAnd => " and ",
        BinOpKind::ScOr => " or ",
        BinOpKind::Add => " + ",
        BinOpKind::Sub => " - ",
        BinOpKind::Mul => " * ",
        BinOpKind::Div => " / ",
        BinOpKind::FloorDiv => " // ",
        BinOpKind::Rem => " % ",
        BinOpKind::Pow => " ** ",
        BinOpKind::In => " in ",
        BinOpKind::Concat => " ~ ",
    }
}
