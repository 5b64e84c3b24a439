//! The little of XML that answers of the query protocol and of S3 need.

use roxmltree::{Document, Node};

/// Text of the first element called `name`, wherever it stands; `None` when there is none or `xml`
/// isn't XML.
pub fn text(xml: &str, name: &str) -> Option<String> {
    let document = Document::parse(xml).ok()?;
    let element = document
        .descendants()
        .find(|node| node.tag_name().name() == name)?;
    Some(element.text().unwrap_or_default().to_owned())
}

/// Texts of all elements called `name`, in order; none when `xml` isn't XML.
pub fn texts(xml: &str, name: &str) -> Vec<String> {
    let Ok(document) = Document::parse(xml) else {
        return Vec::new();
    };
    document
        .descendants()
        .filter(|node| node.tag_name().name() == name)
        .map(|node| node.text().unwrap_or_default().to_owned())
        .collect()
}

/// Text of `node`'s child called `name`.
pub(crate) fn child<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.children()
        .find(|child| child.tag_name().name() == name)?
        .text()
}
